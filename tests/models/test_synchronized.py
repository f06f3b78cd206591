"""BatchNorm under a strategy, in a process of its own, as devices are set at the start."""

import subprocess
import sys

from tests.models.network_checks import batch_norms
from tfkd.models import ENet

CODE = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tfkd.models import UNet, as_float32

def build():
    keras.utils.set_random_seed(0)
    return UNet((16, 16, 1), 2, width=0.05)

images = np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype("float32")
images[2:] = 5.0 + 2.0 * images[2:]  # what the second replica sees is of another scale
one = build()
one(images, training=True)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    two = build()
halves = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant(np.split(images, 2)[context.replica_id_in_sync_group])
)
tf.function(lambda: strategy.run(lambda x: two(x, training=True), (halves,)))()
for a, b in zip(one.weights, two.weights, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=a.path)
with tf.distribute.OneDeviceStrategy("CPU:0").scope():
    assert not build().get_layer("down1_1_bn").synchronized

# A model built in a scope is used outside of it: trained, recalibrated and saved.
from tfkd.distillation.batchnorm import recalibrate_batchnorm
recalibrate_batchnorm(one, [images])
recalibrate_batchnorm(two, [images])
for a, b in zip(one.weights, two.weights, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=a.path)
two.save("FOLDER/two.keras")
loaded = keras.saving.load_model("FOLDER/two.keras")
np.testing.assert_allclose(loaded(images), one(images), rtol=1e-3, atol=1e-4)
loaded.compile("sgd", "mse", jit_compile=True)
loaded.fit(images, np.zeros((4, 16, 16, 2)), verbose=0)
"""


def test_replicas_share_the_moments_of_the_global_batch(tmp_path):
    code = CODE.replace("FOLDER", str(tmp_path))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]


def test_one_device_needs_no_exchange():
    assert not any(layer.synchronized for layer in batch_norms(ENet((32, 32, 1), width=0.1)))
