// The pictures that the prompt line asks for: all tabs begin with them.

import { untrack } from 'svelte';
import { painting, type Painting } from './Painting.svelte';
import { settings, type Painter } from './state';

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
  const asked = { model: model.name, prompt, settings: settings() };
  return untrack(() => {
    const wanted = painting(asked);
    if (current !== wanted) current?.stop();
    current = wanted;
    return wanted;
  });
}
