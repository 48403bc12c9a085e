// A network's shape: where each weight and each unit lies in the rows of numbers that the lab sends.
// Layers count from 1 (layer 0 is the input), units and sources from 1, as in scratch/small_network_parameters.py.

export interface Unit {
  readonly layer: number;
  readonly unit: number;
}

export interface Weight extends Unit {
  /** The unit of the layer before that is read; null: the bias. */
  readonly source: number | null;
}

export type Pick = Unit | Weight;

export interface Shape {
  readonly sizes: readonly number[];
  readonly last: number;
  readonly nParameters: number;
  readonly units: readonly Unit[];
  readonly weights: readonly Weight[];
}

export function shapeOf(hidden: readonly number[]): Shape {
  const sizes = [2, ...hidden, 1];
  const units: Unit[] = sizes.flatMap((n, layer) => Array.from({ length: n }, (_, u) => ({ layer, unit: u + 1 })));
  const weights: Weight[] = [];
  for (let layer = 1; layer < sizes.length; layer += 1) {
    for (let unit = 1; unit <= at(sizes, layer); unit += 1) {
      for (let source = 1; source <= at(sizes, layer - 1); source += 1) weights.push({ layer, unit, source });
    }
    for (let unit = 1; unit <= at(sizes, layer); unit += 1) weights.push({ layer, unit, source: null });
  }
  return { sizes, last: sizes.length - 1, nParameters: weights.length, units, weights };
}

/** Return an entry that is known to be there. */
export function at(row: ArrayLike<number>, index: number): number {
  return row[index] ?? NaN;
}

export function unitIndex({ sizes }: Shape, { layer, unit }: Unit): number {
  return sizes.slice(0, layer).reduce((sum, n) => sum + n, 0) + unit - 1;
}

export function position({ sizes }: Shape, { layer, unit, source }: Weight): number {
  let start = 0;
  for (let l = 1; l < layer; l += 1) start += at(sizes, l) * (at(sizes, l - 1) + 1);
  const reads = at(sizes, layer - 1);
  return source === null ? start + at(sizes, layer) * reads + unit - 1 : start + (unit - 1) * reads + source - 1;
}

export function isWeight(pick: Pick): pick is Weight {
  return 'source' in pick;
}

/** Return what a unit or weight is called in the address: u1.2, w1.2.1, b1.2. */
export function written(pick: Pick): string {
  if (!isWeight(pick)) return `u${pick.layer}.${pick.unit}`;
  return pick.source === null ? `b${pick.layer}.${pick.unit}` : `w${pick.layer}.${pick.unit}.${pick.source}`;
}

export function read(text: string, { sizes }: Shape): Pick | undefined {
  const [, kind, layerText, unitText, sourceText] = /^([uwb])(\d)\.(\d)(?:\.(\d))?$/.exec(text) ?? [];
  const [layer, unit] = [Number(layerText), Number(unitText)];
  if (!kind || layer >= sizes.length || unit < 1 || unit > at(sizes, layer) || (kind === 'w') !== (sourceText !== undefined)) return undefined;
  if (kind === 'u') return { layer, unit };
  if (layer < 1) return undefined;
  if (kind === 'b') return { layer, unit, source: null };
  const source = Number(sourceText);
  return source >= 1 && source <= at(sizes, layer - 1) ? { layer, unit, source } : undefined;
}

export function unitName({ layer, unit }: Unit, { last }: Shape): string {
  if (layer === 0) return `input x${unit}`;
  if (layer === last) return 'the output';
  return last === 2 ? `unit ${unit}` : `unit ${unit} of layer ${layer}`;
}

export function pickName(pick: Pick, shape: Shape): string {
  if (!isWeight(pick)) return unitName(pick, shape);
  if (pick.source === null) return `bias of ${unitName(pick, shape)}`;
  return `weight from ${unitName({ layer: pick.layer - 1, unit: pick.source }, shape)} to ${unitName(pick, shape)}`;
}
