// The tabs of the voice screen. A new one is a line here and a component `<Name>.svelte` that takes TabProps.

import type { Tab } from '../../lib/tabs';
import type { TabId, TabProps } from './state';

export const TABS: readonly Tab<TabId, TabProps>[] = [
  { id: 'writing', title: 'Writing', about: 'Your writing: imported, cleaned, made into pairs', load: () => import('./Writing.svelte') },
  { id: 'tune', title: 'Tune', about: 'Teach a model your writing', load: () => import('./Tune.svelte') },
  { id: 'compare', title: 'Compare', about: 'The same prompts answered by several models, rated blind', load: () => import('./Compare.svelte') },
  { id: 'report', title: 'Report', about: 'Did it learn your voice, or your essays?', load: () => import('./Report.svelte') },
  { id: 'change', title: 'Change', about: 'What the tuning moved inside the model', load: () => import('./Change.svelte') },
  { id: 'improve', title: 'Improve', about: 'The best of several answers, and a run that prefers yours', load: () => import('./Improve.svelte') },
  { id: 'use', title: 'Use', about: 'Ask the tuned model, and take it along', load: () => import('./Use.svelte') },
];
