// Where one is in the voice screen: the tab, the writing folder, the tuned run. What belongs to one tab alone stands in that
// tab's own linked() object; all of it is in the address.

import { choice, linked, text } from '../../state/location.svelte';
import type { TunedRun, Writing } from './api';

export const TAB_IDS = ['writing', 'tune', 'compare', 'report', 'change', 'improve', 'use'] as const;
export type TabId = (typeof TAB_IDS)[number];

export const at = linked({
  tab: choice(TAB_IDS, 'writing'),
  /** A folder of writing, by its path in the lab's home; nothing: the one that changed last. */
  writing: text(),
  /** A tuned run; nothing: the newest. */
  run: text(),
});

/** What every tab gets. `writing` and `run` are the chosen ones' names, empty where there is none yet. */
export interface TabProps {
  readonly writing: string;
  readonly run: string;
  readonly writings: readonly Writing[];
  readonly runs: readonly TunedRun[];
  readonly isLocal: boolean;
  /** Ask the lab again which folders and runs there are. */
  readonly refresh: () => Promise<void>;
}
