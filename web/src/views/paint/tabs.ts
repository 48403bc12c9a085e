// The tabs of the paint screen. A new one is a line here and a component `Tab<Name>.svelte` that takes TabProps.

import type { Tab } from '../../lib/tabs';
import type { TabId, TabProps } from './state';

export const TABS: readonly Tab<TabId, TabProps>[] = [
  { id: 'paint', title: 'Paint', about: 'Pictures coming into focus, step by step', load: () => import('./TabPaint.svelte') },
  { id: 'guidance', title: 'Guidance', about: 'With the words, without them, and further than with them', load: () => import('./TabGuidance.svelte') },
  { id: 'words', title: 'Words', about: 'Where in the picture each word is read', load: () => import('./TabWords.svelte') },
  { id: 'change', title: 'Change', about: 'One word, the prompt or the noise changed, all else the same', load: () => import('./TabChange.svelte') },
  { id: 'brush', title: 'Brush', about: 'Paint a part anew, or start from a drawing', load: () => import('./TabBrush.svelte') },
  { id: 'latent', title: 'Latent', about: 'A picture through the VAE and back', load: () => import('./TabLatent.svelte') },
  { id: 'field', title: 'Field', about: 'The same idea in a plane, where it can be seen', load: () => import('./TabField.svelte') },
  { id: 'train', title: 'Train', about: 'Train a phase, and watch the same eight seeds improve', load: () => import('./TabTrain.svelte') },
];
