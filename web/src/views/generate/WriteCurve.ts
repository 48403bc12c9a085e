// The temperature as a curve over the new tokens: points with straight lines between them, level before the first and after the
// last; or a formula of t and n, which only the lab evaluates.

export interface Point {
  readonly t: number;
  readonly value: number;
}
export const HOTTEST = 2; // what the drawing reaches by itself; more can be typed
export const MOST_POINTS = 24;

/** Return the points a text says, or undefined where it is no list of points. */
export function readPoints(text: string): Point[] | undefined {
  if (!text.includes(':')) return undefined;
  const points = text.replaceAll(',', ' ').trim().split(/\s+/).map((word) => {
    const [t, value, ...more] = word.split(':');
    return { t: more.length || !t?.trim() ? NaN : Number(t), value: value?.trim() ? Number(value) : NaN };
  }); // prettier-ignore
  if (!points.every(({ t, value }) => Number.isFinite(t) && Number.isFinite(value) && value >= 0)) return undefined;
  return points.toSorted((a, b) => a.t - b.t);
}
const brief = (value: number, digits: number): string => String(Number(value.toFixed(digits)));
export function writePoints(points: readonly Point[]): string {
  return points.toSorted((a, b) => a.t - b.t).map(({ t, value }) => `${brief(t, 0)}:${brief(value, 2)}`).join(' ');
}

/** Return what the curve says at a place. */
export function valueAt(points: readonly Point[], t: number): number {
  const after = points.findIndex((point) => point.t > t);
  const [left, right] = [points[after < 0 ? points.length - 1 : after - 1], points[after]];
  if (!left) return right?.value ?? NaN;
  if (!right) return left.value;
  return left.value + ((t - left.t) / (right.t - left.t)) * (right.value - left.value);
}

/** Put a freehand stroke into the curve: what lies between its ends is replaced by few points that stay close to it. */
export function drawInto(points: readonly Point[], stroke: readonly Point[]): Point[] {
  if (stroke.length < 2) return [...points];
  const sorted = stroke.toSorted((a, b) => a.t - b.t);
  const unique = sorted.filter((point, i) => point.t !== sorted[i - 1]?.t);
  const [from, to] = [unique[0]?.t ?? 0, unique.at(-1)?.t ?? 0];
  const kept = points.filter((point) => point.t < from || point.t > to);
  let tolerance = 0.03;
  let simple = simplify(unique, tolerance);
  while (simple.length + kept.length > MOST_POINTS && tolerance < 2) simple = simplify(unique, (tolerance *= 1.5));
  return [...kept, ...simple].toSorted((a, b) => a.t - b.t);
}

/** Ramer, Douglas and Peucker: leave out what lies within `tolerance` of the line between its neighbours. */
function simplify(points: readonly Point[], tolerance: number): Point[] {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || points.length < 3) return [...points];
  let [worst, far] = [0, 0];
  points.forEach((point, i) => {
    const off = Math.abs(point.value - valueAt([first, last], point.t));
    if (i > 0 && i < points.length - 1 && off > far) [worst, far] = [i, off];
  });
  if (far <= tolerance) return [first, last];
  return [...simplify(points.slice(0, worst + 1), tolerance).slice(0, -1), ...simplify(points.slice(worst), tolerance)];
}
