"""Names, places and numbers of kinds that no other set holds, and what only looks like them."""

import pytest

from nextaim_kit.data.privacy.lexicon import Lexicon
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.data.privacy.secret import Key

GONE = [
    # small letters after what a name follows
    ("paziente strambelli ugolina, giunge per dispnea", ("strambelli", "ugolina")),
    ("la sig.ra lazzaretti riferisce tosse", ("lazzaretti",)),
    ("visto con il dott. bortolazzo", ("bortolazzo",)),
    ("dr.ssa g. cervellati", ("cervellati",)),
    ("sig. ra Malaspinetti", ("Malaspinetti",)),
    ("il sig. de zolt accusa dolore", ("zolt",)),
    ("pz. tommasone, letto 12", ("tommasone",)),
    ("pt. wrigglesworth seen today", ("wrigglesworth",)),
    ("refertato dal dott. a. bellantuono", ("bellantuono",)),
    ("Gent.ma Sig.ra Pierazzoli", ("Pierazzoli",)),
    ("Egr. Dott. Falaguasta", ("Falaguasta",)),
    ("Chiar.mo Prof. Tagliaventi", ("Tagliaventi",)),
    # over lines
    ("Paziente:\nSgarabottolo\nErminia", ("Sgarabottolo", "Erminia")),
    ("Il medico radiologo\nDott.ssa\nIvana Pettenuzzo", ("Pettenuzzo",)),
    ("Cognome e nome\nBressanutti Alcide", ("Bressanutti", "Alcide")),
    ("Seen by Dr.\nAbercrombie-\nFfoulkes", ("Abercrombie", "Ffoulkes")),
    # birth and living
    ("nata a Sgurgola il 03.02.1951", ("Sgurgola", "03.02.1951")),
    ("nato il 7-11-48 a Pieve di Cadenabbia", ("7-11-48", "Cadenabbia")),
    ("nata nel 1931 a Gorlago", ("1931", "Gorlago")),
    ("residente in Selva di Cadonego (PD)", ("Cadonego",)),
    ("abita a bagnarola di sesto", ("bagnarola",)),
    ("vive a Pontremolese con la figlia", ("Pontremolese",)),
    ("originaria di Tramonti di Sopra", ("Tramonti",)),
    ("lives alone in Puddlethorpe", ("Puddlethorpe",)),
    # phones and numbers
    ("tel +39 347 55 12 903", ("347 55",)),
    ("Cell. 347.5512.903", ("5512",)),
    ("reperibile al 0471/908 112", ("908",)),
    ("chiamare il numero 3475512903", ("3475512903",)),
    ("telefonare 040 399 4411 interno 32", ("399 4411",)),
    ("Call 020 7946 0958", ("7946",)),
    ("MRN: 00-45-12-78", ("45-12-78",)),
    ("MRN#4512-78B", ("4512-78B",)),
    ("cod. paz. 778812", ("778812",)),
    ("n. cartella 2024/003312", ("003312",)),
    ("ID sanitario ABC-99120-Z", ("99120",)),
    ("n° nosologico: 24018832", ("24018832",)),
    # ages
    ("anni 93, autosufficiente", ("93",)),
    ("di anni 97", ("97",)),
    ("novantatreenne; età 93 aa", ("93",)),
    ("a 101-yr-old lady", ("101",)),
    # relatives
    ("accompagnato dal nipote Ferruccio", ("Ferruccio",)),
    ("la moglie (sig.ra Adelmina Storti) conferma", ("Adelmina", "Storti")),
    ("il figlio Odoacre e la nuora Zelinda", ("Odoacre", "Zelinda")),
    ("his niece Philippa agrees", ("Philippa",)),
    # signatures and copies
    ("Cordiali saluti\nGianfilippo Brentegani", ("Gianfilippo", "Brentegani")),
    ("Distinti saluti,\n\ndott. Brentegani G.\nU.O. Radiologia", ("Brentegani",)),
    ("Kind regards,\nTheodora Quimbledon", ("Theodora", "Quimbledon")),
    ("p.c. Dott. Cacciatori, Dott.ssa Zambelloni", ("Cacciatori", "Zambelloni")),
    ("cc Dr Hargreave, Dr Osgoodby", ("Hargreave", "Osgoodby")),
    ("TSRM Cavagnini / Med. Rad. Puglisevich", ("Cavagnini", "Puglisevich")),
    # names of the borders
    ("Herr Hinteregger Alois", ("Hinteregger", "Alois")),
    ("Fr. Oberhofer Waltraud, Bruneck", ("Oberhofer", "Waltraud")),
    ("Frau Mair Kreszenz", ("Mair", "Kreszenz")),
    ("gospa Vodopivec Zmagoslava", ("Vodopivec", "Zmagoslava")),
    ("pz Škerjanec Đurđa", ("kerjanec",)),
    ("la sig.ra Stanič-Pahor", ("Stani", "Pahor")),
    # words that are names too
    ("la sig.ra Maggio", ("Maggio",)),
    ("Dott. Aprile, medico curante", ("Aprile",)),
    ("Paziente: Rosa Bianca", ("Rosa", "Bianca")),
    ("la signora Pace riferisce", ("Pace",)),
    ("sig. Leone, 45 anni", ("Leone",)),
    ("Dott.ssa Ferrara e dott. Verona", ("Ferrara", "Verona")),
    ("Mr. March was seen", ("March",)),
    ("Dr. Summer reviewed it", ("Summer",)),
    ("Paziente: Colonna Vittoria", ("Colonna", "Vittoria")),
    ("il sig. Polmonari", ("Polmonari",)),
    ("Dr. Cushing, il curante", ("Cushing",)),
    ("firmato Dott. Milza", ("Milza",)),
    ("DOTT. APRILE", ("APRILE",)),
    ("PAZIENTE: MAGGIO ROSA", ("MAGGIO", "ROSA")),
    ("pz.te ghirardelli osvaldo", ("ghirardelli", "osvaldo")),
    ("sig.re bonfigli inviato dal pronto soccorso", ("bonfigli",)),
    ("Hr. Pichler Sepp wurde untersucht", ("Pichler",)),
    ("anni: 91", ("91",)),
]
STAYS = [
    "sindrome di Cushing", "strie B di Kerley", "Hampton's hump", "Hampton hump a destra",
    "triade di Virchow", "M. di Crohn", "segno di Westermark", "nodulo di Schmorl",
    "frattura di Hangman", "malformazione di Arnold-Chiari", "reperto tipo Wegener",
    "ascesso di Brodie", "tumore di Krukenberg", "nodo di Rosenmüller", "Hill-Sachs lesion",
    "Bankart lesion", "Ghon focus", "Monteggia fracture", "Whipple procedure",
    "stenosi secondo NASCET", "scala di Rankin modificata", "Glasgow Coma Scale 15",
    "in terapia con Lasix e Cardioaspirina", "Tachipirina 1000 mg", "Eliquis 5 mg",
    "Xarelto sospeso", "Augmentin per 7 giorni", "mdc Ultravist 370", "Gadovist 7.5 ml",
    "Visipaque 320", "controllo a 3 mesi", "a maggio ha avuto polmonite", "nel mese di aprile",
    "may be seen in March", "sostanza bianca", "vertebra rosa", "pace-maker bicamerale",
    "colonna vertebrale", "testa del femore", "valle lesionale", "monte vascolare",
    "fiore di ciliegio", "campo operatorio", "corona radiata", "letto vascolare",
    "stanza di consultazione", "sala 2", "letto ungueale", "via biliare principale",
    "età 72 anni", "anni 45", "89 aa", "12 x 9 x 7 cm", "TSH 93%", "valore 93", "MRN negativo",
    "tel. non pervenuto", "in data odierna", "paziente collaborante e vigile",
    "paziente diabetica", "signora anziana", "figlia affetta da asma",
    "madre con neoplasia mammaria", "nipote sano", "cordiali saluti", "medico curante informato",
    "dott. di guardia avvisato", "nata a termine", "abita al terzo piano", "vive con la moglie",
    "moglie in buona salute", "husband reports snoring", "pt. denies fever",
    "Dr. on call informed", "kind regards", "Rosai-Dorfman disease",
]  # fmt: skip


@pytest.fixture(scope="module")
def scrubber() -> Scrubber:
    return Scrubber(Key(b"k" * 32), Lexicon())


@pytest.mark.parametrize(("text", "told"), GONE)
def test_nobody_is_told_in_a_text_of_people_nobody_named(
    scrubber: Scrubber, text: str, told: tuple[str, ...]
) -> None:
    clean = scrubber.text(text)
    assert [one for one in told if one in clean] == []


@pytest.mark.parametrize("text", STAYS)
def test_what_only_looks_like_a_name_stays(scrubber: Scrubber, text: str) -> None:
    assert scrubber.text(text) == text
