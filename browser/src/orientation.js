/** Where the axes of a file lie in the patient. */

/**
 * Finds, for each axis on disk, the patient's axis that it runs along and in which direction.
 *
 * The same rule as nibabel's: take the rotation nearest to the affine and give away the patient's
 * axes one after the other, beginning with the axis on disk that is least oblique.
 *
 * @param {number[][]} affine (4, 4) voxel index on disk -> RAS+ mm.
 * @returns {{axis: number, sign: number}[]} one an axis on disk; axis 0 to 2 is x, y or z and the
 *     sign is +1 where it grows to Right, Anterior or Superior.
 */
export function patientAxes(affine) {
  const rotation = nearestRotation(columns(affine));
  const largest = (column) => Math.max(...column.map(Math.abs));
  const order = [0, 1, 2].sort((a, b) => largest(rotation[b]) - largest(rotation[a]));
  const found = [];
  for (const axis of order) {
    const column = rotation[axis].map((value, row) =>
      found.some((other) => other?.axis === row) ? 0 : value,
    );
    const row = column.findIndex((value) => Math.abs(value) === largest(column));
    found[axis] = { axis: row, sign: Math.sign(column[row]) };
  }
  return found;
}

/** Returns the step of each axis on disk in mm. */
export function spacingMm(affine) {
  return columns(affine).map((column) => Math.hypot(...column));
}

/** Returns the determinant of the axes, each scaled to length 1: 0 for axes in one plane. */
export function independence(affine) {
  const [a, b, c] = columns(affine).map(unit);
  return a.reduce((sum, value, i) => sum + value * cross(b, c)[i], 0);
}

function columns(affine) {
  return [0, 1, 2].map((axis) => [0, 1, 2].map((row) => affine[row][axis]));
}

function unit(column) {
  const length = Math.hypot(...column);
  return column.map((value) => value / length);
}

function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/** Returns the orthogonal factor of the polar decomposition, by Newton's iteration. */
function nearestRotation(axes) {
  let q = axes.map(unit);
  for (let i = 0; i < 50; i++) {
    const [a, b, c] = q;
    const minors = [cross(b, c), cross(c, a), cross(a, b)];
    const determinant = a.reduce((sum, value, k) => sum + value * minors[0][k], 0);
    // minors / determinant is the inverse transposed.
    q = q.map((column, j) => column.map((v, k) => (v + minors[j][k] / determinant) / 2));
  }
  return q;
}
