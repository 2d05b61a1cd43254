"""The configuration: the type, range and default of every key, with one file per group of keys."""

from fgf_keras.config.config import Config as Config
from fgf_keras.config.data import DataConfig as DataConfig
from fgf_keras.config.evaluate import EvaluateConfig as EvaluateConfig
from fgf_keras.config.load import dump_whole_yaml as dump_whole_yaml
from fgf_keras.config.load import dump_yaml as dump_yaml
from fgf_keras.config.load import load_config as load_config
from fgf_keras.config.load import load_whole_config as load_whole_config
from fgf_keras.config.load import overridden as overridden
from fgf_keras.config.load import parse_config as parse_config
