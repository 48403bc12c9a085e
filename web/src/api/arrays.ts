// Arrays of numbers as the lab sends them (src/cutaway/base/arrays.py):
//   "CUT1", the length of the header (uint32, little-endian), the header (JSON, filled up with spaces), the numbers
// Each array begins at a multiple of 8 bytes, so it is a view of what arrived and nothing is copied.

export type Numbers = Float64Array | Float32Array | Int32Array | Uint8Array;

export interface NumberArray<T extends Numbers = Numbers> {
  readonly shape: readonly number[];
  readonly data: T;
}

export interface Arrays<Meta> {
  readonly meta: Meta;
  readonly arrays: Readonly<Record<string, NumberArray>>;
}

const KINDS = { float64: Float64Array, float32: Float32Array, int32: Int32Array, uint8: Uint8Array } as const;

interface Header<Meta> {
  meta: Meta;
  arrays: { name: string; dtype: keyof typeof KINDS; shape: number[]; offset: number }[];
}

export function decode<Meta>(bytes: ArrayBuffer): Arrays<Meta> {
  const view = new DataView(bytes);
  if (bytes.byteLength < 8 || view.getUint32(0) !== 0x43555431) throw new Error('not an answer with arrays');
  const start = 8 + view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, start - 8))) as Header<Meta>;
  const found: Record<string, NumberArray> = {};
  for (const { name, dtype, shape, offset } of header.arrays) {
    const size = shape.reduce((product, n) => product * n, 1);
    found[name] = { shape, data: new KINDS[dtype](bytes, start + offset, size) };
  }
  return { meta: header.meta, arrays: found };
}

/** Return an array by name; a missing one is a mistake of ours, said at once. */
export function named(answer: Arrays<unknown>, name: string): NumberArray {
  const found = answer.arrays[name];
  if (!found) throw new Error(`the lab's answer has no array ${name}`);
  return found;
}
