"""Ten defects of `keras.distillation` in Keras 3.15: what ours does, and what Keras does.

The tests of ours always hold. Those marked `keras_comparison` fail when a later Keras has mended
the defect, and the sentence about it in the documentation can then go.
"""

import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras.distillation import Distiller as KerasDistiller
from keras.distillation import FeatureDistillation, LogitsDistillation

from tests.distillation.networks import CLASSES, network, same, slices, weights_of
from tfkd.distillation import Distiller
from tfkd.losses import DistillationLoss, ImportanceMapDistillation, PredictionMapDistillation

comparison = pytest.mark.keras_comparison
# It is made for a list of one input, and called with the bare images.
extractor_warns = pytest.mark.filterwarnings("ignore:The structure of `inputs`")


def nothing(labels, logits):
    """A compiled loss without a gradient."""
    return 0.0 * logits[..., 0]


def cross_entropy(labels, logits):
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def ours(*arguments, loss=nothing, **networks) -> Distiller:
    """Our Distiller, by default with a loss without a gradient; eager, since quick at this size."""
    return compiled(Distiller, arguments or ([NoGradient()],), loss, networks)


def theirs(*arguments, loss=nothing, **networks) -> KerasDistiller:
    """Keras's Distiller on the same networks."""
    no_gradient = LogitsDistillation(loss=lambda teacher, student: nothing(None, student))
    return compiled(KerasDistiller, arguments or ([no_gradient],), loss, networks)


def compiled(kind, arguments, loss, networks):
    teacher = networks.get("teacher") or network(4, seed=1)
    student = networks.get("student") or network(2, seed=2)
    distiller = kind(teacher, student, *arguments)
    distiller.compile(keras.optimizers.SGD(0.1), loss=loss, run_eagerly=True)
    return distiller


class NoGradient(DistillationLoss):
    def __init__(self, value: float = 0.0):
        super().__init__(name="no_gradient")
        self.value = value

    def compute_loss(self, teacher, student, labels):
        return self.value + 0.0 * keras.ops.mean(student, axis=(1, 2, 3))


# 1. The default of LogitsDistillation is a divergence between raw logits, as if probabilities.


def softened_divergence(teacher: np.ndarray, student: np.ndarray, temperature: float) -> float:
    """T² · mean KL(softmax(teacher / T) ‖ softmax(student / T)), written out."""
    p, q = (np.exp(z / temperature) for z in (teacher, student))
    p, q = (z / z.sum(axis=-1, keepdims=True) for z in (p, q))
    return float(temperature**2 * (p * np.log(p / q)).sum(axis=-1).mean())


def two_maps_of_logits() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(2, 4, 4, 3))
    assert softened_divergence(teacher, student, 3.0) == pytest.approx(0.541, abs=5e-4)
    return teacher.astype("float32"), student.astype("float32")


def test_1_divergence_is_between_softened_probabilities():
    teacher, student = two_maps_of_logits()
    loss = PredictionMapDistillation(temperature=3.0)
    for shift in (0.0, 7.0):  # a constant added to the logits changes no probability
        values = loss.compute_loss(teacher, student + shift, None)
        assert float(keras.ops.mean(values)) == pytest.approx(0.541, abs=5e-4)


@comparison
def test_1_keras_divides_raw_logits():
    teacher, student = two_maps_of_logits()
    loss = LogitsDistillation(temperature=3.0)
    assert float(loss.compute_loss(teacher, student)) == pytest.approx(3.363, abs=5e-4)
    shifted = float(loss.compute_loss(teacher, student + 7.0))
    assert abs(shifted - 3.363) > 0.5
    # Only an instance of the loss class is given probabilities.
    instance = LogitsDistillation(temperature=3.0, loss=keras.losses.KLDivergence())
    assert float(instance.compute_loss(teacher, student)) == pytest.approx(0.541, abs=5e-4)


# 2. With named layers, evaluating moves the student's moving statistics.


def feature_loss() -> FeatureDistillation:
    return FeatureDistillation(lambda teacher, student: nothing(None, student), *["tap_low"] * 2)


def test_2_evaluate_leaves_the_student():
    distiller = ours([ImportanceMapDistillation("tap_low")])
    before = weights_of(distiller.student)
    distiller.evaluate(*slices(), verbose=0)
    assert same(before, weights_of(distiller.student))


@comparison
@extractor_warns
def test_2_keras_moves_the_statistics():
    distiller = theirs([feature_loss()])
    before = weights_of(distiller.student)
    distiller.evaluate(*slices(), verbose=0)
    moved = [
        variable.name
        for old, variable in zip(before, distiller.student.weights, strict=True)
        if not np.array_equal(old, variable)
    ]
    assert set(moved) == {"moving_mean", "moving_variance"}
    assert len(moved) == 4


# 3. With named layers, the student runs twice in each step.


class Counting(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def call(self, x):
        self.calls += 1
        return x


def counted_student() -> tuple[keras.Model, Counting]:
    base, counter = network(2, seed=2), Counting()
    return keras.Model(base.input, counter(base.output)), counter


def calls_in_a_step(build, *losses) -> int:
    student, counter = counted_student()
    distiller = build(*losses, student=student)
    counter.calls = 0
    distiller.train_on_batch(*slices())
    return counter.calls


def test_3_the_student_runs_once():
    assert calls_in_a_step(ours, [ImportanceMapDistillation("tap_low")]) == 1


@comparison
@extractor_warns
def test_3_keras_runs_the_student_twice():
    assert calls_in_a_step(theirs, [feature_loss()]) == 2


# 4. A loss given as a function is not scaled under a strategy.

STRATEGY = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.distillation.networks import network, slices
from tests.distillation.test_keras_defects import cross_entropy
from tfkd.distillation import Distiller
from tfkd.losses import PredictionMapDistillation

def update(strategy, kind, loss):
    with strategy.scope():
        student = network(2, seed=2)
        for layer in student.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False  # moments of a replica differ from those of the batch
        distiller = kind(network(4, seed=1), student, [loss])
        distiller.compile(keras.optimizers.SGD(0.01), loss=cross_entropy)
    before = [np.array(variable) for variable in student.trainable_variables]
    data = tf.data.Dataset.from_tensor_slices(slices(8)).batch(8, drop_remainder=True)
    distiller.fit(data, verbose=0)
    after = [np.array(variable) for variable in student.trainable_variables]
    return np.concatenate([(b - a).ravel() for a, b in zip(before, after)])

one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for name, kind, loss in (
    ("ours", Distiller, PredictionMapDistillation()),
    ("theirs", keras.distillation.Distiller, keras.distillation.LogitsDistillation(loss="mse")),
):
    single = update(one, kind, loss)
    ratio = single @ update(two, kind, loss) / (single @ single)
    print(f"ratio of {name}: {ratio:.4f}")
"""


@pytest.fixture(scope="module")
def updates_of_two_replicas() -> dict[str, float]:
    """First update with two replicas over that with one device, in a process with two devices."""
    result = subprocess.run([sys.executable, "-c", STRATEGY], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    lines = [line.split() for line in result.stdout.splitlines() if line.startswith("ratio of")]
    return {name.rstrip(":"): float(ratio) for _, _, name, ratio in lines}


def test_4_two_replicas_make_the_update_of_one_device(updates_of_two_replicas):
    assert updates_of_two_replicas["ours"] == pytest.approx(1.0, abs=1e-3)


@comparison
def test_4_keras_makes_it_twice_as_large(updates_of_two_replicas):
    assert updates_of_two_replicas["theirs"] == pytest.approx(2.0, abs=1e-2)


# 5. The weights of the examples are ignored.


def moves_when_no_example_counts(distiller) -> bool:
    x, y = slices()
    before = [np.array(weight) for weight in distiller.student.trainable_weights]
    distiller.train_on_batch(x, y, sample_weight=np.zeros(y.shape, "float32"))
    return not same(before, [np.array(weight) for weight in distiller.student.trainable_weights])


def test_5_examples_without_weight_teach_nothing():
    losses = [PredictionMapDistillation(), ImportanceMapDistillation("tap_low")]
    assert not moves_when_no_example_counts(ours(losses, loss=cross_entropy))


@comparison
def test_5_keras_learns_from_them_all_the_same():
    assert moves_when_no_example_counts(theirs(loss=cross_entropy))


# 6. The student's regularisers are dropped.


def shrinkage(distiller) -> float:
    """Kernel after a step over the kernel before, when only its L2 penalty has a gradient."""
    kernel = distiller.student.trainable_weights[0]
    before = np.array(kernel)
    distiller.train_on_batch(*slices())
    return float(np.sum(before * np.array(kernel)) / np.sum(before**2))


def test_6_regularisers_count():
    # The penalty of Keras is 0.01 · Σ w², so a step of 0.1 leaves 1 - 0.1 · 0.02.
    student = network(2, seed=2, regularizer="l2")
    assert shrinkage(ours(student=student)) == pytest.approx(0.998, abs=1e-5)


@comparison
def test_6_keras_drops_them():
    student = network(2, seed=2, regularizer="l2")
    assert shrinkage(theirs(student=student)) == 1.0


# 7. The weight of a loss that is not in a list is ignored.


def test_7_a_bare_loss_has_its_weight():
    distiller = ours(NoGradient(2.0), 10.0)
    logs = distiller.train_on_batch(*slices(), return_dict=True)
    assert float(logs["loss"]) == pytest.approx(20.0)


@comparison
def test_7_keras_takes_one_instead():
    loss = LogitsDistillation(loss=lambda teacher, student: 2.0 + nothing(None, student))
    logs = {}
    for losses, weights in ((loss, 10.0), ([loss], [10.0])):
        distiller = theirs(losses, weights)
        logs[weights if isinstance(weights, float) else "list"] = distiller.train_on_batch(
            *slices(), return_dict=True
        )
    # Half of it each, as the other half is the weight of the compiled loss.
    assert float(logs[10.0]["total_loss"]) == pytest.approx(1.0)
    assert float(logs["list"]["total_loss"]) == pytest.approx(10.0)


# 8. Teacher and student must have outputs of one type.


def test_8_a_float32_teacher_teaches_a_float16_student():
    student = network(2, seed=2, dtype="mixed_float16")
    assert student.output.dtype == "float16"
    distiller = ours([PredictionMapDistillation()], student=student, loss=cross_entropy)
    logs = distiller.train_on_batch(*slices(), return_dict=True)
    assert np.isfinite(float(logs["loss"]))
    assert float(logs["prediction_map"]) > 0


@comparison
def test_8_keras_refuses_them():
    with pytest.raises(ValueError, match="output dtypes must match"):
        theirs(student=network(2, seed=2, dtype="mixed_float16"))


# 9. A distillation loss does not get the labels.


def test_9_labels_reach_the_losses():
    seen = []

    class Looking(NoGradient):
        def compute_loss(self, teacher, student, labels):
            seen.append(labels)
            return super().compute_loss(teacher, student, labels)

    x, y = slices()
    ours([Looking()]).train_on_batch(x, y)
    assert [tuple(labels.shape) for labels in seen] == [(*y.shape, CLASSES)]


@comparison
def test_9_keras_has_the_outputs_only():
    seen = []

    class Looking(keras.distillation.DistillationLoss):
        def compute_loss(self, teacher_outputs, student_outputs, **others):
            seen.append(others)
            return 0.0 * keras.ops.mean(student_outputs)

    theirs([Looking()]).train_on_batch(*slices())
    assert seen == [{}]


# 10. A saved Distiller is the teacher and the student, without the state of the training.


def test_10_the_student_is_saved_alone(tmp_path):
    distiller = ours([PredictionMapDistillation()], teacher=network(128, seed=1))
    distiller.student.save(tmp_path / "student.keras")
    assert os.path.getsize(tmp_path / "student.keras") < 4 * distiller.teacher.count_params()
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    assert loaded.count_params() == distiller.student.count_params()


def test_10_the_state_of_the_training_is_without_the_teacher(tmp_path):
    distiller = ours([PredictionMapDistillation()], teacher=network(128, seed=1))
    distiller.train_on_batch(*slices())
    path = tmp_path / "state.weights.h5"
    distiller.save_weights(path)
    assert os.path.getsize(path) < 4 * distiller.teacher.count_params()
    # What is loaded must not put another teacher in the place of the one that is given.
    again = ours([PredictionMapDistillation()], teacher=network(128, seed=3))
    again.train_on_batch(*slices())
    before = weights_of(again.teacher)
    again.load_weights(path)
    assert same(before, weights_of(again.teacher))


def test_10_the_state_of_the_training_goes_on(tmp_path):
    distiller = ours([PredictionMapDistillation()], loss=cross_entropy)
    distiller.train_on_batch(*slices())
    distiller.save_weights(tmp_path / "state.weights.h5")
    again = ours([PredictionMapDistillation()], loss=cross_entropy, student=network(2, seed=7))
    again.load_weights(tmp_path / "state.weights.h5")
    assert int(again.optimizer.iterations) == 1
    assert same(weights_of(distiller.student), weights_of(again.student))


@comparison
def test_10_keras_saves_the_teacher_and_not_the_training(tmp_path):
    distiller = theirs([LogitsDistillation()], teacher=network(128, seed=1), loss="mse")
    x, _ = slices()
    distiller.train_on_batch(x, distiller.teacher(x))
    distiller.save(tmp_path / "distiller.keras")
    with zipfile.ZipFile(tmp_path / "distiller.keras") as archive:
        assert archive.getinfo("model.weights.h5").file_size > 4 * distiller.teacher.count_params()
    with pytest.warns(UserWarning, match="was not called as part of model loading"):
        loaded = keras.saving.load_model(tmp_path / "distiller.keras")
    assert same(weights_of(distiller.teacher), weights_of(loaded.teacher))
    assert not hasattr(loaded, "optimizer")
