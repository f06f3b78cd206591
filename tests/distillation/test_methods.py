from tfkd.distillation import methods


def test_emkd_has_the_weights_of_the_paper():
    losses, weights = methods.emkd()
    assert [loss.name for loss in losses] == [
        "prediction_map",
        "importance_map_tap_low",
        "importance_map_tap_high",
        "region_affinity_tap_low",
        "region_affinity_tap_high",
    ]
    assert weights == [0.1, 0.9, 0.9, 0.9, 0.9]


def test_emkd_takes_variant_and_taps():
    losses, weights = methods.emkd(region_weight=0.5, variant="paper", taps=["tap_high"])
    assert weights == [0.1, 0.9, 0.5]
    assert losses[-1].variant == "paper"
    assert losses[-1].student_layer_name == "tap_high"
