/** The picture: the CT's slices with the mask on top. */

import { NVImage, Niivue, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";

// Chosen to be told apart on grey, also by people who do not see red and green.
const COLOURS = ["#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#009e73", "#d55e00", "#0072b2"];

/** Returns the colour of a label, 1 and above, as CSS writes it. */
export function labelColour(label) {
  return COLOURS[(label - 1) % COLOURS.length];
}

/** Slices of a CT, and a mask over them. */
export class View {
  #niivue = new Niivue({
    backColor: [0.07, 0.08, 0.09, 1],
    crosshairColor: [1, 1, 1, 0.5],
    crosshairWidth: 0,
    dragAndDropEnabled: false,
    isColorbar: false,
    isOrientCube: false,
    isOrientationTextVisible: true,
    isRadiologicalConvention: true,
    loadingText: "",
    multiplanarShowRender: SHOW_RENDER.NEVER,
    show3Dcrosshair: false,
    sliceType: SLICE_TYPE.AXIAL,
  });
  #opacity = 0.4;
  #slices = 1;

  /**
   * @param {HTMLCanvasElement} canvas where to draw.
   * @param {(slice: number, slices: number) => void} onSlice called with the slice in view.
   */
  constructor(canvas, onSlice) {
    this.ready = this.#niivue.attachToCanvas(canvas, false);
    this.#niivue.onLocationChange = () => {
      if (this.#niivue.volumes.length) onSlice(this.slice, this.#slices);
    };
  }

  /**
   * Shows a CT instead of what was there.
   *
   * @param {Uint8Array} bytes the NIfTI file, not compressed.
   * @param {[number, number]} windowHu lowest and highest HU to tell apart.
   */
  async showCt(bytes, windowHu) {
    await this.ready;
    this.clear();
    const ct = await image(bytes, "ct.nii", "gray", 1, windowHu);
    this.#niivue.addVolume(ct);
    this.setWindow(windowHu);
    this.#slices = ct.dimsRAS[3];
    this.slice = Math.ceil(this.#slices / 2);
  }

  /** Takes CT and mask away. */
  clear() {
    for (const volume of [...this.#niivue.volumes]) this.#niivue.removeVolume(volume);
  }

  /** Sets which HU are told apart. */
  setWindow([low, high]) {
    const [ct] = this.#niivue.volumes;
    if (!ct) return;
    [ct.cal_min, ct.cal_max] = [low, high];
    this.#niivue.updateGLVolume();
  }

  /**
   * Lays a mask over the CT.
   *
   * @param {Uint8Array} bytes the NIfTI file of the mask, not compressed.
   * @param {string[]} labelNames index = label; the first is the background.
   */
  async showMask(bytes, labelNames) {
    this.hideMask();
    const mask = await image(bytes, "mask.nii", "gray", this.#opacity, [0, 1]);
    const channel = (from) =>
      labelNames.map((_, label) =>
        label ? parseInt(labelColour(label).slice(from, from + 2), 16) : 0,
      );
    mask.setColormapLabel({
      R: channel(1),
      G: channel(3),
      B: channel(5),
      A: labelNames.map((_, label) => (label ? 255 : 0)),
      labels: [...labelNames],
    });
    this.#niivue.addVolume(mask);
  }

  /** Takes the mask away. */
  hideMask() {
    const [, mask] = this.#niivue.volumes;
    if (mask) this.#niivue.removeVolume(mask);
  }

  /** Sets how much of the mask is seen: 0 nothing, 1 nothing but the mask. */
  set opacity(value) {
    this.#opacity = value;
    if (this.#niivue.volumes.length > 1) this.#niivue.setOpacity(1, value);
  }

  /** Shows axial slices alone, or all three planes. */
  set planes(three) {
    this.#niivue.setCrosshairWidth(three ? 1 : 0);
    this.#niivue.setSliceType(three ? SLICE_TYPE.MULTIPLANAR : SLICE_TYPE.AXIAL);
  }

  /** The axial slice in view, 1 = lowest. */
  get slice() {
    const { crosshairPos } = this.#niivue.scene;
    return Math.min(this.#slices, Math.floor(crosshairPos[2] * this.#slices) + 1);
  }

  set slice(slice) {
    this.#niivue.scene.crosshairPos[2] = (slice - 0.5) / this.#slices;
    this.#niivue.createOnLocationChange();
    this.#niivue.drawScene();
  }
}

function image(bytes, name, colormap, opacity, [low, high]) {
  // A buffer of its own: NIfTI readers take it from its first byte.
  const { buffer } = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
  return NVImage.new(buffer, name, colormap, opacity, null, low, high);
}
