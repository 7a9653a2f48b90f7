"""The reading list of chapter 00: what the course grew from is on it, and each entry says what it holds and where."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WANTED = {  # what the seeds of the course name, by a part of its link or by its key in the bibliography
    "lecture 12 of CS231n": "watch?v=6wcs6szJWMY",
    "its slides": "cs231n_2017_lecture12.pdf",
    "lecture 7 of CS230": "watch?v=gCJCgQW_LKc",
    "an article on Grad-CAM": "glassboxmedicine.com",
    "grad-cam for PyTorch": "github.com/jacobgil/pytorch-grad-cam",
    "the blog of Keras": "blog.keras.io",
    "the toolbox": "yosinski.com/deepvis",
    "network dissection": "netdissect.csail.mit.edu",
    "LRCN": "arxiv.org/abs/1411.4389",
    "Samek et al.": "arxiv.org/abs/1708.08296",
    "saliency": "[simonyan2014]",
    "deconvnet": "[zeiler2014]",
    "RISE": "[petsiuk2018]",
    "LIME": "[ribeiro2016]",
    "CAM": "[zhou2016]",
    "Grad-CAM": "[selvaraju2017]",
    "Integrated Gradients": "[sundararajan2017]",
    "relevance propagation": "[bach2015]",
    "meaningful perturbation": "[fong2017]",
    "explanations in words": "[hendricks2016]",
    "MNIST-1D": "[greydanus2020]",
    "tissue": "[kather2016]",
}


def entries():
    cells = json.loads((ROOT / "notebooks" / "00_the_networks.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.findall(r"^- .*$", text.partition("## 7. Annotated reading list")[2].partition("\n## ")[0], re.MULTILINE)


def test_every_source_that_the_course_grew_from_is_there():
    missing = [name for name, part in WANTED.items() if not any(part in entry for entry in entries())]
    assert not missing


def test_every_entry_says_where_it_is_found_and_what_it_holds():
    for entry in entries():
        assert re.search(r"\[[a-z]+\d*[a-z]*\]|\]\(https://[^)\s]+\)", entry), entry
        told = entry.rpartition(": ")[2]
        assert len(told.split()) >= 6 and told.rstrip().endswith("."), entry
