// Where one is in the generate screen: the model (up to four), the text, the tab. What belongs to one tab alone stands in
// that tab's own linked() object; all of it is in the address.

import { choice, linked, push, text } from '../../state/location.svelte';

export const TAB_IDS = ['write', 'tokens', 'attention', 'layers', 'why', 'whatif', 'induction', 'surprise', 'speed'] as const;
export type TabId = (typeof TAB_IDS)[number];
export const MOST_MODELS = 4;

export const at = linked({
  tab: choice(TAB_IDS, 'write'),
  /** A run, a checkpoint of one (`stdlib-1@400`) or a folder (`models/gpt2-small`); nothing: the newest run. */
  model: text(),
  model2: text(),
  model3: text(),
  model4: text(),
  prompt: text(),
});

/** What every tab gets. `models` has `model` first; most tabs only want that one. */
export interface TabProps {
  readonly model: string;
  readonly models: readonly string[];
  readonly prompt: string;
}

/** Return the models in the address, without gaps; none where nobody chose. */
export function chosenModels(): string[] {
  return [at.model, at.model2, at.model3, at.model4].filter((name) => name !== '');
}

/** Choose models; Back returns to those before. */
export function chooseModels(names: readonly string[]): void {
  push(() => {
    const [first = '', second = '', third = '', fourth = ''] = names;
    at.model = first;
    at.model2 = second;
    at.model3 = third;
    at.model4 = fourth;
  });
}
