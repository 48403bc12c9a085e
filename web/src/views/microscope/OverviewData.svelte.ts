// The overview of a trace, asked for once: panels that show it, search in it or mark something in it share it.

import { get } from '../../api/client';
import type { Overview } from './api';
import { overviewModel, type OverviewModel } from './OverviewModel';
import { about } from './state';

const KEPT = 4;
const known = new Map<string, Promise<OverviewModel>>();

/** Return the overview of a trace with these edits. */
export function load(asked: { trace: string; edits?: string }): Promise<OverviewModel> {
  const key = `${asked.trace} ${asked.edits ?? ''}`;
  const before = known.get(key);
  if (before) return before;
  const made = get<Overview>('/microscope/overview', asked).then((wire) => overviewModel(wire));
  known.set(key, made);
  made.catch(() => known.delete(key));
  for (const old of [...known.keys()].slice(0, -KEPT)) known.delete(old);
  return made;
}

type Asked = Parameters<typeof load>[0];

/** The overview of a trace, of the open one if not said: what was there stays until what was asked for comes. */
export class OverviewData {
  model = $state.raw<OverviewModel>();
  error = $state('');

  constructor(of: () => Asked | undefined = about) {
    const asked = $derived(JSON.stringify(of() ?? null)); // a text: the same while nothing of it changes
    $effect(() => {
      let isGone = false;
      const wanted = JSON.parse(asked) as Asked | null;
      if (!wanted) {
        this.model = undefined;
        this.error = '';
        return;
      }
      load(wanted)
        .then((model) => {
          if (isGone) return;
          this.model = model;
          this.error = '';
        })
        .catch((error: unknown) => {
          if (!isGone) this.error = error instanceof Error ? error.message : String(error);
        });
      return () => {
        isGone = true;
      };
    });
  }
}
