"""Arms that differ in one setting of the reward are told apart in words."""

from fgf_keras.config.reward import RewardConfig
from fgf_keras.report.sections.reward import reward_in_words


def test_the_direction_is_told_where_the_reward_has_one():
    direction = {"brightness": 3, "extent": -1}
    distil = RewardConfig(
        kind="distil", direction=direction, direction_per="sd", max_ratio=1, warmup_epochs=2
    )
    assert reward_in_words(distil) == (
        "distil, λ = 0.1; towards brightness 3, extent -1 per standard deviation; at most 1 of the task's "
        "gradient; warm-up 2 epochs, support mask"
    )
    assert "towards brightness 3, extent -1;" in reward_in_words(
        RewardConfig(kind="signed", direction=direction)
    )
    assert "towards" not in reward_in_words(RewardConfig(kind="sum", direction=direction))
    assert "towards" not in reward_in_words(RewardConfig(kind="distil"))
