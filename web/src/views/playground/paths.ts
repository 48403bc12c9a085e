// The product of the weights along every way from an input to the output, multiplied in the order of the layers.

import { at, position, type Shape } from './shape';

export interface Path {
  /** The unit passed in every layer, the input first. */
  readonly units: readonly number[];
  readonly strength: number;
}

export function pathStrengths(shape: Shape, parameters: Float64Array): Path[] {
  let paths: Path[] = [{ units: [1], strength: 1 }, { units: [2], strength: 1 }];
  for (let layer = 1; layer <= shape.last; layer += 1) {
    paths = paths.flatMap(({ units, strength }) =>
      Array.from({ length: at(shape.sizes, layer) }, (_, u) => {
        const source = at(units, layer - 1);
        return { units: [...units, u + 1], strength: strength * at(parameters, position(shape, { layer, unit: u + 1, source })) };
      }),
    );
  }
  return paths.sort((one, other) => Math.abs(other.strength) - Math.abs(one.strength));
}
