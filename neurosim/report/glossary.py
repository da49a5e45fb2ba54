"""Words of a report, for a reader who meets them for the first time; the same as in docs/glossary.md, which has all."""

from __future__ import annotations

WORDS = {
    "arm": "one way to do the same: a device with its parameters, reads, writes and wires, or ideal arithmetic; all arms of an "
    "experiment see the same images and seeds",
    "chip": 'an array with the devices that one seed draws; "for new chips" means for other seeds',
    "control": "the same without learning (an untrained array, random kernels): what a result has to be held against",
    "gap": "points of accuracy below ideal arithmetic",
    "learning kept": "(device − its control) / (ideal − its control): 100 % learns as much as ideal arithmetic, 0 % nothing",
    "pair": 'two devices whose difference is one weight; `mapping = "reference"` holds one of them fixed',
    "readout": "what makes a class of answers: the vote, a linear classifier, the goodness of labels",
    "update": "what one mini-batch changes: pulses on some devices",
    "verdict": "*yes* if the lower end of the learning kept is 90 % or more and the gap a point or less, *no* if the upper end is below "
    '50 %, *less* ("no, but it learns") if it is shown to learn and not as well, else *undecided*',
    "vote": "class of the neuron with the largest current, which stands for the class it wins most often on training images: no "
    "readout is trained",
}
