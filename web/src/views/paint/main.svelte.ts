// The pictures that the prompt line asks for: all tabs begin with them.

import { untrack } from 'svelte';
import { painting, type Painting } from './Painting.svelte';
import type { Settings } from './api';
import { at, settings, type Painter } from './state';

let current = $state.raw<Painting>();

export const main = {
  /** What is shown now, or is being painted. */
  get painting(): Painting | undefined {
    return current;
  },
};

/** Show the pictures of the prompt line, painting them where they are not there yet; what nobody looks at any more ends. An effect that
 *  calls this runs again when another question is asked, not when the answer comes. */
export function show(model: Painter, prompt: string): Painting {
  const best_of = model.can_choose ? at.best : 1;
  const asked = { model: model.name, prompt, settings: settings(), ...(best_of > 1 ? { best_of } : {}) };
  return untrack(() => {
    const wanted = painting(asked);
    if (current !== wanted) current?.stop();
    current = wanted;
    return wanted;
  });
}

/** How one of those pictures is painted, by itself; undefined while its noise is still being chosen. */
export function alone(model: Painter, pick: number): Settings | undefined {
  const { seed } = at;
  const chosen = model.can_choose && at.best > 1 ? current?.seeds[pick] : seed + pick;
  return chosen === undefined ? undefined : { ...settings(), n: 1, seed: chosen };
}
