// The tabs of the generate screen. A new one is a line here and a component `<Name>.svelte` that takes TabProps.

import type { Tab } from '../../lib/tabs';
import type { TabId, TabProps } from './state';

export const TABS: readonly Tab<TabId, TabProps>[] = [
  { id: 'write', title: 'Write', about: 'What the model writes, and how each token was chosen', load: () => import('./Write.svelte') },
  { id: 'tokens', title: 'Tokens', about: 'How the text is cut: pieces, ids, bytes', load: () => import('./Tokens.svelte') },
  { id: 'attention', title: 'Attention', about: 'Where each head looks, and what kind of head it is', load: () => import('./Attention.svelte') },
  { id: 'layers', title: 'Layers', about: 'What each layer would say if the model stopped there', load: () => import('./Layers.svelte') },
  { id: 'why', title: 'Why', about: 'Which parts of the model made a token likely', load: () => import('./Why.svelte') },
  { id: 'whatif', title: 'What if', about: 'What changes without a part, or with what it computed for another text', load: () => import('./WhatIf.svelte') },
  { id: 'induction', title: 'Induction', about: 'Which heads go on with what came next last time', load: () => import('./Induction.svelte') },
  { id: 'surprise', title: 'Surprise', about: 'How surprising each token of a text is', load: () => import('./Surprise.svelte') },
  { id: 'speed', title: 'Speed', about: 'What keeping keys and values saves, timed and counted', load: () => import('./Speed.svelte') },
];
