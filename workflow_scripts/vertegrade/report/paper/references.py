"""The papers that the methods of a run rest on, and the numbers under which a text cites them."""

import re
from collections.abc import Sequence

REFERENCES = {
    "genant": "Genant HK, Wu CY, van Kuijk C, Nevitt MC. Vertebral fracture assessment using a semiquantitative "
    "technique. J Bone Miner Res 1993;8:1137-1148.",
    "verse": "Sekuboyina A, Husseini ME, Bayat A, et al. VerSe: a vertebrae labelling and segmentation benchmark for "
    "multi-detector CT images. Med Image Anal 2021;73:102166. doi:10.1016/j.media.2021.102166",
    "keicher": "Keicher M, Atad M, Schinz D, et al. Semantic latent space regression of diffusion autoencoders for "
    "vertebral fracture grading. 2023. arXiv:2303.12031",
    "atad": "Atad M, Schinz D, Moeller H, et al. Counterfactual explanations for medical image classification and "
    "regression using diffusion autoencoder. MELBA 2024;2:2103-2125. doi:10.59275/j.melba.2024-4862",
    "preechakul": "Preechakul K, Chatthee N, Wizadwongsa S, Suwajanakorn S. Diffusion autoencoders: toward a "
    "meaningful and decodable representation. CVPR 2022. arXiv:2111.15640",
    "muon": "Jordan K, Jin Y, Boza V, et al. Muon: an optimizer for hidden layers in neural networks. 2024. "
    "https://kellerjordan.github.io/posts/muon/",
    "zakharov": "Zakharov A, Pisov M, Bukharaev A, et al. Interpretable vertebral fracture quantification via "
    "anchor-free landmarks localization. Med Image Anal 2023;83:102646. doi:10.1016/j.media.2022.102646",
    "pisov": "Pisov M, Kondratenko V, Zakharov A, et al. Keypoints localization for joint vertebra detection and "
    "fracture severity quantification. MICCAI 2020. doi:10.1007/978-3-030-59725-2_70",
    "chettrit": "Chettrit D, Meir T, Lebel H, et al. 3D convolutional sequence to sequence model for vertebral "
    "compression fractures identification in CT. MICCAI 2020:743-752. arXiv:2010.03739",
    "wei": "Wei X, Cong H, Zhang Z, et al. Faint features tell: automatic vertebrae fracture screening assisted by "
    "contrastive learning. BIBM 2022:848-853. arXiv:2208.10698",
    "khosla": "Khosla P, Teterwak P, Wang C, et al. Supervised contrastive learning. NeurIPS 2020. arXiv:2004.11362",
    "huang": "Huang G, Liu Z, van der Maaten L, Weinberger KQ. Densely connected convolutional networks. CVPR 2017. "
    "arXiv:1608.06993",
    "hu": "Hu J, Shen L, Sun G. Squeeze-and-excitation networks. CVPR 2018. arXiv:1709.01507",
    "ledoit": "Ledoit O, Wolf M. A well-conditioned estimator for large-dimensional covariance matrices. J Multivar "
    "Anal 2004;88:365-411.",
    "mccullagh": "McCullagh P. Regression models for ordinal data. J R Stat Soc B 1980;42:109-142.",
    "vovk": "Vovk V, Gammerman A, Shafer G. Algorithmic learning in a random world. Springer 2005.",
    "dunn": "Dunn R, Wasserman L, Ramdas A. Distribution-free prediction sets for two-layer hierarchical models. J Am "
    "Stat Assoc 2023;118:2491-2502.",
    "lee": "Lee K, Lee K, Lee H, Shin J. A simple unified framework for detecting out-of-distribution samples and "
    "adversarial attacks. NeurIPS 2018.",
    "cohen": "Cohen J. Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial "
    "credit. Psychol Bull 1968;70:213-220.",
    "cox": "Cox DR. Two further applications of a model for binary regression. Biometrika 1958;45:562-565.",
    "calster": "Van Calster B, Nieboer D, Vergouwe Y, et al. A calibration hierarchy for risk models was defined: from "
    "utopia to empirical data. J Clin Epidemiol 2016;74:167-176.",
    "naeini": "Naeini MP, Cooper GF, Hauskrecht M. Obtaining well calibrated probabilities using Bayesian binning. "
    "AAAI 2015.",
    "snakemake": "Mölder F, Jablonski KP, Letcher B, et al. Sustainable data analysis with Snakemake. F1000Research "
    "2021;10:33. doi:10.12688/f1000research.29032.2",
    "torch": "Paszke A, Gross S, Massa F, et al. PyTorch: an imperative style, high-performance deep learning library. "
    "NeurIPS 2019. arXiv:1912.01703",
}


MARK = re.compile(r"\[@([a-z ]+)\]")


def cite(*names: str) -> str:
    """Where a text cites these papers; `numbered` makes numbers of it."""
    unknown = [name for name in names if name not in REFERENCES]
    if unknown:
        raise KeyError(f"{unknown} are no references; add them to report/paper/references.py")
    return f"[@{' '.join(names)}]"


def numbered(sections: Sequence[tuple[str, Sequence[str]]]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The sections (title, paragraphs) with papers numbered in the order of the text, and these papers."""
    cited: list[str] = []

    def number(mark: re.Match[str]) -> str:
        names = mark[1].split()
        cited.extend(name for name in names if name not in cited)
        return f"[{', '.join(str(cited.index(name) + 1) for name in names)}]"

    done = [(title, [MARK.sub(number, text) for text in paragraphs]) for title, paragraphs in sections]
    return done, [REFERENCES[name] for name in cited]
