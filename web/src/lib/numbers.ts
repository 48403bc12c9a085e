// Numbers for people: short where they are many, with all digits on request, never a zero for what is not there.

/** Return a number in about `digits` significant digits; what is not a number says so. */
export function short(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined) return 'not computed';
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(Math.max(0, digits - 2)).replace('e+', 'e');
  if (Number.isInteger(value)) return String(value);
  return value.toPrecision(digits).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

/** Return a number with so many digits behind the point, for columns; what rounds to zero has no sign. */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return short(value);
  return value.toFixed(digits).replace(/^-(0(?:\.0*)?)$/, '$1');
}

/** Return all digits: the shortest text that reads back as the same number. */
export function full(value: number | null | undefined): string {
  if (value === null || value === undefined) return 'not computed';
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+inf' : '-inf';
  return Object.is(value, -0) ? '-0' : String(value);
}

/** Return a count with thin groups: 12,345. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** Return a time in seconds as people say it. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  const rest = Math.floor(seconds % 60).toString().padStart(2, '0');
  return minutes < 60 ? `${minutes}:${rest} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Return a size in bytes as people say it. */
export function bytes(size: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}
