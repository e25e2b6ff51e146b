"""Parameter files of pyradiomics are taken as they are, or refused by name."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from radiomics import imageoperations

from nextaim_kit.data.images.reading import read_image, read_mask
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_radiomics.engine import extract
from nextaim_kit.studies.ct_radiomics.parameter_file import setting_names
from nextaim_kit.studies.ct_radiomics.region import bounding_box, grown
from nextaim_kit.studies.ct_radiomics.settings import Settings

FILES = sorted((Path(__file__).parent / "parameter_files").iterdir())
NAMES = [file.name for file in FILES]


def fitting(file, image, mask):
    """Image and mask as the odd ones of the files mean them: one slice, or another label."""
    if "one_slice" in file.name:
        array = sitk.GetArrayFromImage(mask)
        middle = int(np.median(np.nonzero(array)[0]))
        array[:middle], array[middle + 1 :] = 0, 0
        one = sitk.GetImageFromArray(array)
        one.CopyInformation(mask)
        return image, one
    if "second_label" in file.name:
        return image + 2000, mask * 2
    return image, mask


def small_regions(volume, tissue, ball):
    shape, spacing = (26, 34, 38), (0.9, 0.8, 2.0)
    yield volume(tissue(shape, 1), spacing), volume(ball(shape, (13, 17, 19), (4, 7, 8)), spacing)
    values = tissue(shape, 2) + np.float32(0.25)
    yield volume(values, spacing), volume(ball(shape, (3, 27, 9), (5, 6, 8)), spacing)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_each_file_gives_the_values_and_names_of_pyradiomics(
    volume, tissue, ball, whole, equal, file
):
    for pair in small_regions(volume, tissue, ball):
        image, mask = fitting(file, *pair)
        ours, reference = extract(image, mask, file), whole(image, mask, file)
        assert list(ours) == list(reference)
        equal(ours, reference)


def cropped(image, mask, margin=4):
    """The middle of a region and what is around it, so that a test on a real image stays short."""
    box = bounding_box(sitk.GetArrayViewFromImage(mask))
    z = (box[0].start + box[0].stop) // 2
    box = (slice(z - 3, z + 3), *box[1:])
    x, y, z = grown(box, (margin,) * 3, mask.GetSize()[::-1])[::-1]
    return image[x, y, z], mask[x, y, z]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_each_file_gives_the_values_of_pyradiomics_on_a_real_tumor(real, whole, equal, file):
    folder = real / "ct_radiomics" / "pyradiomics"
    pair = read_image(folder / "brain1_image.nrrd"), read_mask(folder / "brain1_label.nrrd")
    image, mask = fitting(file, *cropped(*pair))
    equal(extract(image, mask, file), whole(image, mask, file))


@pytest.mark.parametrize(
    ("text", "problem", "mend"),
    [
        ("settings: {binWidth: 5}", "part 'settings' is not known", "'setting'"),
        ("setting: {binwidth: 5}", "setting 'binwidth' is not known", "'binWidth'"),
        ("setting: {enableCExtensions: true}", "'enableCExtensions' is not known", "before 2.0"),
        ("imageType: {Log: {}}", "imageType 'Log' is not known", "'LoG'"),
        ("imageType: {LoG: {sigmas: [1]}}", "LoG: setting 'sigmas'", "'sigma'"),
        ("featureClass: {GLCM: }", "featureClass 'GLCM' is not known", "'glcm'"),
        ("featureClass: {glcm: [Contarst]}", "glcm: feature 'Contarst'", "'Contrast'"),
        ("voxelSetting: {kernelRadius: 2}", "maps of features voxel by voxel", "remove"),
        ("imageType: {Wavelet: {normalize: true}}", "below imageType Wavelet", "to setting"),
        ("imageType: {Original: }", "imageType Original has no value", "Original: {}"),
        ("setting: {padDistance: }", "padDistance has no value", "remove the line"),
        ("setting: {binWidth: '25'}", "binWidth is text, not a number", "quotes"),
        ("imageType: {LoG: {sigma: [1, '3']}}", "LoG: sigma is text, not a number", "quotes"),
    ],
)
def test_what_cannot_be_honored_is_refused_with_the_files_name_and_a_remedy(
    tmp_path, text, problem, mend
):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(RequestError, match=problem) as caught:
        Settings(file=file)
    assert "mine.yaml" in caught.value.what
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("setting: {binWidth: -1}", "cannot have its value"),
        ("setting: {binWidth: .nan}", "cannot have its value"),
        ("setting: {force2D: yes}", "cannot have its value"),
        ("setting: {label: 1.5}", "cannot have its value"),
        ("setting: [binWidth]", "cannot have its value"),
        ("featureClass: {glcm: Contrast}", "cannot have its value"),
        ("setting: {resampledPixelSpacing: [1, 1]}", "resampledPixelSpacing has 2 values"),
        ("setting: {resegmentRange: [1, 2, 3]}", "resegmentRange has 3 values"),
        ("setting: {wavelet: mexh}", "continuous"),
        ("setting: {binWidth: 5, binWidth: 6}", "cannot be read"),
        ("setting: {binWidth: 5", "cannot be read"),
        ("- setting", "holds no parameters"),
        ("", "holds no parameters"),
    ],
)
def test_a_value_that_pyradiomics_cannot_use_is_refused_before_any_image_is_read(
    tmp_path, text, problem
):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(RequestError, match=rf"mine\.yaml.*{problem}"):
        Settings(file=file)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(RequestError, match=r"no parameter file .*nowhere\.yaml"):
        Settings(file="nowhere.yaml")


@pytest.mark.parametrize(
    "beside",
    [{"bin_width": 10}, {"resample_mm": 1.0}, {"wavelet": True}, {"log_sigma": (1,)},
     {"extra": {"gldm_a": 1}}],
)  # fmt: skip
def test_a_setting_beside_a_file_is_refused(beside):
    with pytest.raises(RequestError, match=f"{next(iter(beside))} is given beside 01_lung_ct.yaml"):
        Settings(file=FILES[0], **beside)


def test_a_label_beside_a_file_counts_before_the_files():
    assert Settings(file=FILES[0]).label == 1
    assert Settings(file=FILES[0], label=3).label == 3


def test_settings_of_a_file_are_known_by_what_it_says_not_by_where_it_lies(tmp_path):
    said = {"setting": {"binWidth": 12}, "featureClass": {"firstorder": ["Mean"]}}
    (tmp_path / "a.json").write_text(json.dumps(said))
    (tmp_path / "b.yaml").write_text("featureClass: {firstorder: [Mean]}\nsetting: {binWidth: 12}")
    one, other = Settings(file=tmp_path / "a.json"), Settings(file=tmp_path / "b.yaml")
    assert one.describe() == other.describe() == Settings(file=said).describe()
    assert str(tmp_path) not in one.describe()
    said["setting"]["binWidth"] = 13
    assert Settings(file=said).describe() != one.describe()


def test_settings_of_a_file_go_to_workers_whole():
    settings = Settings(file=FILES[0], label=4)
    back = pickle.loads(pickle.dumps(settings))
    assert back.describe() == settings.describe()
    assert back.features() == settings.features()


def test_resampled_settings_differ_in_the_voxels_alone():
    settings = Settings(file={"setting": {"binWidth": 7, "interpolator": None}})
    finer = settings.resampled(1.0).pyradiomics()
    assert finer["resampledPixelSpacing"] == [1.0] * 3
    assert finer["interpolator"] == "sitkBSpline"
    assert {**finer, "resampledPixelSpacing": None, "interpolator": None} == settings.pyradiomics()
    assert Settings().resampled(2.0) == Settings(resample_mm=2.0)


def test_every_setting_of_the_installed_schema_is_in_the_guide():
    guide = (Path(__file__).parents[3] / "docs" / "parameter_files.md").read_text()
    assert [name for name in setting_names() if f"`{name}`" not in guide] == []


def test_a_mask_on_a_grid_of_its_own_is_laid_onto_the_image_if_the_file_says_so(
    volume, tissue, ball, whole, equal, tmp_path
):
    image = volume(tissue((24, 40, 40)), (1.0, 1.0, 2.0), (0, 0, 0))
    mask = volume(ball((40, 44, 44), (20, 20, 22), (8, 9, 9)), (0.8, 0.8, 1.1), (2.0, 2.1, 1.3))
    for more in ("", ", resampledPixelSpacing: [1, 1, 1]"):
        file = tmp_path / "mine.yaml"
        file.write_text(f"setting: {{correctMask: true{more}}}\nfeatureClass: {{shape: , glcm: }}")
        with pytest.warns(UserWarning, match="laid onto the image's grid"):
            ours = extract(image, mask, file)
        equal(ours, whole(image, mask, file))
    with pytest.raises(DataError, match="mask and image differ in size"):
        extract(image, mask)


def test_a_region_that_sticks_out_of_its_image_is_not_corrected(volume, tissue, ball):
    image = volume(tissue((12, 12, 12)), origin=(0, 0, 0))
    mask = volume(ball((12, 12, 12), (6, 6, 6), (3, 3, 3)), origin=(50, 0, 0))
    with pytest.raises(DataError, match="the mask cannot be corrected"):
        extract(image, mask, Settings(file={"setting": {"correctMask": True}}))


def test_a_channel_of_a_mask_can_be_chosen(volume, tissue, ball, equal, tmp_path):
    image = volume(tissue((16, 20, 20)))
    parts = [volume(ball((16, 20, 20), (8, 10, x), (3, 4, 4))) for x in (6, 13)]
    both = tmp_path / "both.nrrd"
    sitk.WriteImage(sitk.Compose(parts), str(both))
    second = Settings(file={"setting": {"label_channel": 1}, "featureClass": {"shape": None}})
    alone = extract(image, parts[1], second)
    equal(extract(image, sitk.ReadImage(str(both)), second), alone)
    equal(extract(image, read_mask(both, channel=1), second), alone)
    with pytest.raises(DataError, match="the mask has no channel 2"):
        read_mask(both, channel=2)
    with pytest.raises(DataError, match="2 values per voxel"):
        read_mask(both)


def test_the_number_of_the_spline_stays_what_it_was():
    given = {"setting": {"interpolator": 3}}
    assert Settings(file=given).pyradiomics()["interpolator"] == "sitkBSpline"
    assert Settings(file={"setting": {"interpolator": 2}}).pyradiomics()["interpolator"] == 2


def test_deprecated_features_come_where_pyradiomics_still_has_them(volume, tissue, ball):
    image, mask = volume(tissue((12, 14, 14))), volume(ball((12, 14, 14), (6, 7, 7), (3, 4, 4)))
    asked = {"firstorder": ["StandardDeviation", "Variance"], "gldm": ["DependencePercentage"]}
    with pytest.warns(UserWarning, match="no longer computed by pyradiomics: gldm Dependence"):
        found = extract(image, mask, Settings(file={"featureClass": asked}))
    assert set(found) == {f"original_firstorder_{n}" for n in asked["firstorder"]}
    variance = found["original_firstorder_Variance"]
    assert found["original_firstorder_StandardDeviation"] ** 2 == pytest.approx(variance)


def test_a_laplacian_without_a_width_is_said_to_give_nothing(volume, tissue, ball):
    image, mask = volume(tissue((12, 14, 14))), volume(ball((12, 14, 14), (6, 7, 7), (3, 4, 4)))
    with pytest.warns(UserWarning, match="LoG has no sigma"):
        assert not extract(
            image, mask, Settings(file={"imageType": {"LoG": {}}, "featureClass": {"glcm": []}})
        )


def test_every_image_type_of_the_installed_pyradiomics_can_be_named():
    import radiomics

    types = {kind: {} for kind in radiomics.getImageTypes()}
    assert list(Settings(file={"imageType": types}).image_types()) == list(types)
    assert {f"get{kind}Image" for kind in types} <= set(dir(imageoperations))
