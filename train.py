"""Train: python train.py --config configs/phantom.yaml [key.sub=value …]."""

from fgf_keras.cli.main import main_of, train

if __name__ == "__main__":
    main_of(train)
