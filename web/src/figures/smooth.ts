// Smoothing of a noisy line: the exponential moving average with its start corrected,
//   m_i = w m_(i-1) + (1 - w) y_i,   shown: m_i / (1 - w^i)
// so that the first point is the first value and not near zero. Points that are not finite are passed over.

/** Return the smoothed values; a weight of 0 changes nothing. */
export function smoothed(y: Float64Array, weight: number): Float64Array {
  if (weight <= 0) return y;
  const out = new Float64Array(y.length);
  let mean = 0;
  let share = 1;
  for (let i = 0; i < y.length; i += 1) {
    const value = y[i] as number;
    if (Number.isFinite(value)) {
      mean = weight * mean + (1 - weight) * value;
      share *= weight;
      out[i] = mean / (1 - share);
    } else out[i] = value;
  }
  return out;
}

const known = new WeakMap<Float64Array, { weight: number; values: Float64Array }>();

/** The same, remembered for the array it was asked for last. */
export function smoothedOnce(y: Float64Array, weight: number): Float64Array {
  const found = known.get(y);
  if (found?.weight === weight) return found.values;
  const values = smoothed(y, weight);
  known.set(y, { weight, values });
  return values;
}
