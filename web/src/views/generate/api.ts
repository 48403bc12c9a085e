// What the whole generate screen asks the lab: which models there are.

import { get, type Wire } from '../../api/client';

export interface Model {
  /** What the address and every request call it. */
  readonly name: string;
  /** Steps of its checkpoints, where it is a run. */
  readonly checkpoints: readonly number[];
  readonly parameters: number | null;
  readonly isRunning: boolean;
}

/** Return the models there are, newest first. */
export async function listModels(): Promise<Model[]> {
  const { runs } = await get<Wire<'Runs'>>('/runs');
  return runs
    .filter((run) => run.has_model)
    .map((run) => ({ name: run.name, checkpoints: run.checkpoints, parameters: run.parameters, isRunning: run.status === 'running' }));
}

/** Return a model's name for people: a checkpoint says its step. */
export function modelTitle(name: string): string {
  const cut = name.lastIndexOf('@');
  return cut < 0 ? name : `${name.slice(0, cut)}, step ${Number(name.slice(cut + 1)).toLocaleString('en-US')}`;
}
