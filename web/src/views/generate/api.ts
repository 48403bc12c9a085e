// What the whole generate screen asks the lab: which models there are.

import { get, type Wire } from '../../api/client';

export interface Model {
  /** What the address and every request call it. */
  readonly name: string;
  /** Steps of its checkpoints, where it is a run. */
  readonly checkpoints: readonly number[];
  readonly parameters: number;
  readonly contextLength: number;
  /** Why it cannot be opened, if so. */
  readonly problem: string | null;
}

/** Return the models there are, runs first, newest first. */
export async function listModels(): Promise<Model[]> {
  const { models } = await get<Wire<'Models'>>('/models');
  return models
    .filter(({ kind }) => kind !== 'checkpoint')
    .map(({ name, parameters, context_length, problem }) => ({
      name,
      parameters,
      contextLength: context_length,
      problem: problem ?? null,
      checkpoints: models.filter((one) => one.kind === 'checkpoint' && one.run === name).map((one) => one.step ?? 0).toSorted((a, b) => a - b),
    })); // prettier-ignore
}

/** Return a model's name for people: a checkpoint says its step. */
export function modelTitle(name: string): string {
  const cut = name.lastIndexOf('@');
  return cut < 0 ? name : `${name.slice(0, cut)}, step ${Number(name.slice(cut + 1)).toLocaleString('en-US')}`;
}
