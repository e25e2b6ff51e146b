import glob,numpy as np
from nextaim_kit.studies.breast_masses import views as V
from scipy import ndimage
for f in sorted(glob.glob('/work/shared/real/breast_prototypes/masks/*DM*.png')):
    v=V.read_mask_values(f); 
    l,n=ndimage.label(v>=v.max()/2); s=np.bincount(l.ravel())[1:]; o=np.argsort(-s,kind='stable')[:6]
    print(f[-18:],n,[(int(s[k]),tuple(int(x) for x in V.box_of(l==k+1).values())) for k in o if s[k]>=.01*s.max()])
