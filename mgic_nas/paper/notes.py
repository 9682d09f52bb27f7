"""What explains the difference between the paper's tables and ours, as far as it is known.

No number that the tables compute is typed here; the tests check what is claimed of them.
"""

from __future__ import annotations

NOTES = {
    "1": """\
The counts are exact: they follow from the widths 64, 32, 16, 8 and the groups alone, and confirm that R and P have
gcd(groups, coarse width) groups and neither bias nor norm. The errors depend on which feature maps are compressed,
and the paper does not say which network they come from: what carries over is their order.""",
    "3": """\
The plain ResNet-56 is met, so the counter is the paper's. Ghost-ResNet-56 is built here from GhostNet's modules
(`block="ghost_basic", levels="none"`) and comes out a few percent above its printed numbers. Ours at (16, 8) has
fewer parameters than the paper's and more MACs: the paper's holds more of its weights where maps are small, which no
reading of its text that was tried does. Read as s_c = 64 the parameters come near and the MACs do not (Table 12); the
text prints 16, and so do we.""",
    "5": """\
Parameters agree. MACs agree only without R and P: these are few in parameters but not in MACs, because in a
bottleneck network they work on tensors four times as wide as the 3x3 convolutions. So the paper's numbers leave them
out, although no forward pass can. Budgets here mean the full count.""",
    "7": """\
Ours have somewhat more MACs than printed, with and without R and P, which are small here. Table 6 fixes neither how
widths are rounded nor the head, and the reading taken is the nearest one found. The paper's MACs grow steeper from
0.6x to 1.2x than linear widths allow: 0.6x and 1.2x multiply the expansion widths once more, as the authors' release
does. Its rows without h-swish have fewer MACs, so it counts activations; ours counts convolutions and linear layers,
so both rows of a pair have one count. The published networks are met within 2 % in MACs, so the counter is the right
one (MobileNetV3-S 0.75x is printed with more parameters than timm's has). Table 6 as it is printed is GhostNet's list
of rows, not MobileNetV3-Large's (48/24 in place of 64/24, one 120/40, four 960/160 whose SE alternates):
`layout="table6"`, the last rows here. It has more parameters and MACs at every width. With one restriction at least and
no level fully coupled its MACs without R and P come nearest to the printed ones, but the paper's own example (40
channels a group of 40) is fully coupled; Table 13 is met less well too. So MobileNetV3-Large's rows are the default.
MnasNet-A1 is timm's `semnasnet_100`, and
ShuffleNetV2 is torchvision's; what is in neither is not counted.""",
    "9": """\
No reading meets all rows. torchvision's own networks (`dilated, reduced_tail`, LR-ASPP with 128 filters), which are
counted here as the plain ones, have more parameters than the paper prints for them, so its segmentation networks are
not exactly those. From s_g = 64 to 32 the paper's parameters fall by more than ours and its MACs by less; the row
with s_g = 32 may have another s_c, but s_c = 32 takes ours further from its MACs.""",
    "11": """\
The layout of Table 10 does not give the printed parameters for any of the three. diffGCN: its six graph convolutions
alone meet the printed MACs, so the two per-point MLPs seem not to be in that number; so few linear maps of 64
channels cannot hold the printed parameters. DGCNN: its linear maps are applied to points before edges are formed, the
same function at a fraction of the cost; on every edge it would be several times the printed number, which fits
neither. MGIC-diffGCN: the widths are left open; ours is the widest choice of powers of two within the printed MACs.
MACs are of convolutions and linear layers, not of gathers or the search for neighbours. Recorded accuracies are of
short trainings on few points (`runs/points/`).""",
    "12": """\
No reading can meet this table: it lists (16, 16) twice, with different parameters, MACs and accuracies. The
parameters of its second half fit s_c = 64 better than the printed 16, its MACs mostly the printed one, so both
readings are shown. s_c = 32 and 64 are the same network here: the widths are 16, 32 and 64, every block has at least
one restriction, and 64 // 2 is 32 already.""",
    "13": """\
The paper prints no MACs here. Its parameters grow faster with s_g than ours. One cause is that groups have to divide
both widths that a block connects: rows of 112 and 480 channels have at most 16 groups, of 7 channels each, even at
s_g = 2. Head and squeeze-and-excitation hold most of the parameters and depend on neither s_g nor s_c.""",
}
