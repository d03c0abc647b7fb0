"""From a configuration to what it trains: the module and its data, for any Trainer."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from typing import Any

from lightning.pytorch import seed_everything

from fmnist.config.build import build_node, maker, sized
from fmnist.config.known import public_name
from fmnist.data.datamodule import ImageData
from fmnist.training.classifier import Classifier
from fmnist.training.cost import flops
from fmnist.training.precision import chosen_formats
from fmnist.training.preflight import takes_channels_last


def build(config: dict[str, Any]) -> tuple[Classifier, ImageData]:
    """The LightningModule and the LightningDataModule of a configuration, as commands use them.

    The data are read first: what is wrong with them shows before anything else is made.

    Args:
        config: checked and resolved, see `fmnist.config.check.check`.

    Raises:
        UserError: data that are not there, or not what they should be.
    """
    data = build_data(config)
    return build_classifier(config, data), data


def build_data(config: dict[str, Any]) -> ImageData:
    """The data module, loaded; see `build`."""
    data: ImageData = maker(config["data"])(augment=build_node(config["aug"]), seed=config["seed"])
    data.load()
    return data


def build_classifier(config: dict[str, Any], data: ImageData) -> Classifier:
    """The module, after all generators were seeded with the run's seed; see `build`.

    Args:
        data: of which the net gets its sizes.
    """
    seed_everything(config["seed"], workers=True, verbose=False)
    facts = data.load()
    node = sized(config["model"], facts.shape, len(facts.classes))
    net = build_node(node)
    operations = flops(net, facts.shape)
    _, channels_last = formats(config, operations)
    if channels_last and config["channels_last"] is None:
        channels_last = takes_channels_last(net, facts.shape)
    classifier = Classifier(
        net,
        config["optim"],
        config["scheduler"],
        label_smoothing=config["label_smoothing"],
        channels_last=channels_last,
        tta=config["tta"],
        ema_decay=config["ema_decay"],
        compile=config["compile"],
    )
    classifier.hparams.update(net=node)
    classifier.flops = operations
    return classifier


def formats(config: dict[str, Any], operations: int) -> tuple[str, bool]:
    """Precision by Lightning's name, and whether memory is channels-last, for a net here.

    Args:
        operations: of one image's forward pass, see `fmnist.training.cost.flops`.
    """
    trainer, channels_last = config["trainer"], config["channels_last"]
    if channels_last is None and public_name(config["optim"]["_target_"]) == "torch.optim.LBFGS":
        channels_last = False  # it takes flat views of gradients, which channels-last has not
    return chosen_formats(
        trainer.get("precision", "auto"),
        channels_last,
        operations,
        trainer.get("accelerator", "auto"),
    )
