import assert from "node:assert/strict";
import { test } from "node:test";

import { readCt } from "../src/ct_volume.js";
import { readHeader } from "../src/nifti_header.js";
import { fixtureFile, fixtures, options } from "./fixtures.js";

test("files are read into the frame of tfkd, whatever their axes and numbers", options, () => {
  for (const one of fixtures.volumes) {
    const volume = readCt(fixtureFile(one.file), one.file);
    assert.deepEqual(volume.shape, one.shape, one.file);
    volume.spacingMm.forEach((mm, axis) => assert.ok(Math.abs(mm - one.spacing[axis]) < 1e-9));
    const hu = Array.from({ length: one.shape[0] }, (_, z) => [...volume.slice(z)]);
    assert.deepEqual(hu, one.hu, one.file);
    assert.ok(Math.abs(volume.voxelMl - one.voxel_ml) < 1e-9, one.file);
    assert.equal(volume.warnings.length > 0, one.warned, one.file);
  }
});

test("a mask is laid out as tfkd writes it", options, () => {
  for (const one of fixtures.volumes) {
    const volume = readCt(fixtureFile(one.file), one.file);
    const mask = new Uint8Array(volume.voxels);
    one.mask.forEach((labels, z) => volume.setSlice(mask, z, Uint8Array.from(labels)));
    const written = volume.maskFile(mask);
    const expected = fixtureFile(one.mask_file);
    const ours = readHeader(written, one.mask_file);
    const theirs = readHeader(expected, one.mask_file);
    for (const key of ["shape", "affine", "datatype", "voxOffset", "stated"]) {
      assert.deepEqual(ours[key], theirs[key], `${one.mask_file} ${key}`);
    }
    const voxels = (bytes) => bytes.slice(ours.voxOffset);
    assert.deepEqual(voxels(written), voxels(expected), one.mask_file);
  }
});

test("what is no CT is refused with the file's name", options, () => {
  const good = fixtureFile(fixtures.volumes[0].file);
  const refuse = (bytes, expected) => assert.throws(() => readCt(bytes, "scan.nii"), expected);
  refuse(new Uint8Array(3), /scan\.nii: expected a NIfTI file/);
  refuse(new Uint8Array(1000), /scan\.nii: expected a NIfTI file/);
  refuse(good.slice(0, -1), /scan\.nii: expected at least \d+ bytes.*cut short/);
  const flat = good.slice();
  flat.fill(0, 280, 292); // the first row of the sform: no axis runs along x any more
  refuse(flat, /three independent axes/);
  const series = good.slice();
  new DataView(series.buffer).setInt16(40, 4, true);
  new DataView(series.buffer).setInt16(48, 3, true);
  refuse(series, /one 3-D volume, received shape .* × 3/);
  const colours = good.slice();
  new DataView(colours.buffer).setInt16(70, 128, true);
  refuse(colours, /data type 128/);
});
