"""Evaluate: python evaluate.py --run runs/phantom/latest [--config other.yaml [key.sub=value …]]."""

from fgf_keras.cli.main import evaluate, main_of

if __name__ == "__main__":
    main_of(evaluate)
