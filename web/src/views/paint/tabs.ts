// The tabs of the paint screen. A new one is a line here and a component `Tab<Name>.svelte` that takes TabProps.

import type { Tab } from '../../lib/tabs';
import type { TabId, TabProps } from './state';

export const TABS: readonly Tab<TabId, TabProps>[] = [
  { id: 'paint', title: 'Paint', about: 'Pictures coming into focus, step by step', load: () => import('./TabPaint.svelte') },
];
