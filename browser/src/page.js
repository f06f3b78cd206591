/** The page: three steps on the left, the picture on the right. */

import { gzip, inflate } from "./inflate.js";
import { View, labelColour } from "./view.js";
import { STOPPED, WorkerClient } from "./worker_client.js";

// In HU.
const WINDOWS = { Abdomen: [-160, 240], Liver: [-20, 180], Lung: [-1350, 150], Bone: [-450, 1050] };

const element = (id) => document.getElementById(id);
const worker = new WorkerClient();
const view = new View(element("canvas"), (slice, slices) => {
  element("slice").max = slices; // before the value, which it limits
  element("slice").value = slice;
  element("slice-number").value = `${slice} of ${slices}`;
});

let modelFiles; // as chosen, for a worker that starts anew
let contract; // of the model that is ready
let ct; // {name, bytes}
let mask; // the NIfTI file
const busy = new Set(); // of "model", "ct" and "run"

element("model").onchange = ({ target }) => target.files.length && openModel([...target.files]);
element("ct").onchange = ({ target }) => target.files.length && openCt(target.files[0]);
element("run").onclick = () => (busy.has("run") ? stop() : segment());
element("save").onclick = saveMask;
element("slice").oninput = ({ target }) => (view.slice = Number(target.value));
element("opacity").oninput = ({ target }) => (view.opacity = Number(target.value));
element("window").onchange = () => view.setWindow(chosenWindow());
element("planes").onchange = ({ target }) => (view.planes = target.checked);
element("tools").onsubmit = (event) => event.preventDefault();
listWindows();
dropFiles();

async function openModel(files) {
  contract = undefined;
  setBusy("model", true);
  forgetMask();
  choose("model", files.map(({ name }) => name).join(", "));
  element("model-facts").hidden = true;
  note("model-note", "Loading and checking …");
  try {
    const opened = await worker.run("openModel", { files });
    showModel(opened);
    if (!opened.golden.passed) throw new Error(goldenFailure(opened));
    contract = opened.contract;
    modelFiles = files;
    listWindows();
    note("model-note", goldenWords(opened), "good");
  } catch (error) {
    note("model-note", error.message, "bad");
  }
  setBusy("model", false);
}

async function openCt(file) {
  ct = undefined;
  setBusy("ct", true);
  forgetMask();
  view.clear();
  element("tools").hidden = true;
  element("empty").hidden = false;
  choose("ct", file.name);
  note("ct-note", "Reading …");
  try {
    const raw = new Uint8Array(await file.arrayBuffer());
    const packed = raw[0] === 0x1f && raw[1] === 0x8b;
    const bytes = packed ? await inflate(raw, "gzip", file.name) : raw;
    const facts = await worker.run("openCt", { bytes, name: file.name });
    await view.showCt(bytes, chosenWindow());
    ct = { name: file.name, bytes };
    element("tools").hidden = false;
    element("empty").hidden = true;
    const words = [ctWords(facts), ...facts.warnings].join(" ");
    note("ct-note", words, facts.warnings.length ? "bad" : "");
  } catch (error) {
    note("ct-note", error.message, "bad");
  }
  setBusy("ct", false);
}

async function segment() {
  forgetMask();
  setBusy("run", true);
  showProgress(0, 1);
  const progressed = ({ done, total }) => showProgress(done, total);
  try {
    const result = await worker.run("segmentCt", {}, progressed);
    mask = result.mask;
    await view.showMask(mask, contract.label_names);
    showVolumes(result.volumesMl);
    const each = ((result.seconds * 1000) / result.slices).toFixed(1);
    note(
      "result-note",
      `${result.slices} slices in ${result.seconds.toFixed(1)} s: ${each} ms a slice, of which ` +
        `${result.modelMsPerSlice.toFixed(1)} ms are the model.`,
    );
    element("save").hidden = false;
  } catch (error) {
    note("result-note", error.message, error.message === STOPPED ? "" : "bad");
  }
  setBusy("run", false);
}

/** Ends the segmentation with its worker; a new one takes model and CT in. */
async function stop() {
  worker.stop();
  worker.run("openCt", ct).catch((error) => note("ct-note", error.message, "bad"));
  await openModel(modelFiles);
}

async function saveMask() {
  const packed = await gzip(mask);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([packed], { type: "application/gzip" }));
  link.download = `${ct.name.replace(/(\.nii)?(\.gz)?$/i, "")}_mask.nii.gz`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be writing
}

/** Notes what is under way, and lets be clicked only what makes sense meanwhile. */
function setBusy(what, value) {
  if (value) busy.add(what);
  else busy.delete(what);
  const running = busy.has("run");
  for (const id of ["model", "ct"]) element(id).disabled = running || busy.has(id);
  element("run").disabled = !(running || (contract && ct));
  element("run").textContent = running ? "Stop" : "Segment";
  element("progress").hidden = !running;
}

function forgetMask() {
  mask = undefined;
  view.hideMask();
  element("save").hidden = true;
  element("volumes").hidden = true;
  note("result-note", "");
}

function showModel({ contract: model, threads }) {
  const { spec } = model;
  const context = spec.context_slices ? `, ${2 * spec.context_slices + 1} slices` : "";
  const rows = {
    Format: `${model.quantization}, ${(model.size_bytes / 1e6).toFixed(2)} MB`,
    Input: `${spec.size.join(" × ")}${context}, ${words(spec.window_hu)} HU`,
    Labels: model.label_names.slice(1).join(", "),
    Threads: threads,
  };
  const cells = ([name, text]) => [make("dt", name), make("dd", text)];
  element("model-facts").replaceChildren(...Object.entries(rows).flatMap(cells));
  element("model-facts").hidden = false;
}

function showVolumes(volumesMl) {
  const rows = contract.label_names.slice(1).map((name, i) => {
    const swatch = make("span", "");
    swatch.className = "swatch";
    swatch.style.background = labelColour(i + 1);
    const label = make("td", "");
    label.append(swatch, name);
    const row = make("tr", "");
    row.append(label, make("td", `${volumesMl[i + 1].toFixed(1)} mL`));
    return row;
  });
  element("volumes").tBodies[0].replaceChildren(...rows);
  element("volumes").hidden = false;
}

function showProgress(done, total) {
  const [bar, words] = element("progress").children;
  bar.value = done / total;
  words.textContent = done ? `Slice ${done} of ${total}` : "First slice …";
}

function goldenWords({ golden }) {
  const { agreement, difference } = golden;
  const apart = difference ? `differ by ${difference.toPrecision(2)} at most` : "are equal";
  return `Checked: ${percent(agreement)} of the golden slice as exported; logits ${apart}.`;
}

function goldenFailure({ golden }) {
  return (
    `${goldenWords({ golden })} Expected more: this browser computes something else than what ` +
    "was exported. Use another browser, or the float32 file of the same student."
  );
}

function ctWords({ shape, spacingMm }) {
  const [z, y, x] = shape;
  const mm = spacingMm.map((value) => Number(value.toFixed(3)));
  return `${z} slices of ${y} × ${x}; ${mm[2]} × ${mm[1]} × ${mm[0]} mm.`;
}

function listWindows() {
  const known = contract ? { "Model's": contract.spec.window_hu, ...WINDOWS } : WINDOWS;
  // By name: another model has other numbers under the same one.
  const chosen = element("window").selectedOptions[0]?.text;
  element("window").replaceChildren(
    ...Object.entries(known).map(([name, hu]) => {
      const option = new Option(name, hu);
      option.title = `${words(hu)} HU`;
      return option;
    }),
  );
  element("window").selectedIndex = Math.max(0, Object.keys(known).indexOf(chosen));
  view.setWindow(chosenWindow());
}

function chosenWindow() {
  return element("window").value.split(",").map(Number);
}

/** Lets files be dropped anywhere on the page. */
function dropFiles() {
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    const scans = files.filter(({ name }) => /\.nii(\.gz)?$/i.test(name));
    const parts = files.filter((file) => !scans.includes(file));
    if (parts.length && !element("model").disabled) openModel(parts);
    if (scans.length && !element("ct").disabled) openCt(scans[0]);
  });
}

function choose(id, text) {
  const chooser = element(id).parentElement;
  chooser.classList.add("chosen");
  chooser.title = text;
  chooser.querySelector("span").textContent = text;
  element(id).value = ""; // so that the same files can be chosen again
}

function note(id, text, kind = "") {
  element(id).textContent = text;
  element(id).className = `note ${kind}`.trim();
}

/** Returns a window as people write it. */
function words(windowHu) {
  return windowHu.map((hu) => `${hu}`.replace("-", "−")).join(" to ");
}

function percent(fraction) {
  return `${(100 * fraction).toFixed(2)} %`;
}

function make(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
