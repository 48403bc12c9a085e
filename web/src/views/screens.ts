// The screens of the lab. A new one is a line here, a view beside it, and a route file on the server.

import type { Component } from 'svelte';

export interface Screen {
  /** What the address begins with. */
  readonly path: string;
  readonly title: string;
  /** One line for the home screen. */
  readonly about: string;
  /** The view is loaded when it is opened. It gets what follows its path in the address: /runs/stdlib-1 -> "stdlib-1". */
  readonly load: () => Promise<{ default: Component<{ rest: string }> }>;
  /** Left out of the bar at the top. */
  readonly isHidden?: boolean;
}

export const SCREENS: readonly Screen[] = [
  { path: '/', title: 'Home', about: 'Runs, and where to begin.', load: () => import('./home/Home.svelte') },
  { path: '/playground', title: 'Playground', about: 'A network small enough to see whole.', load: () => import('./playground/Playground.svelte') },
  { path: '/runs', title: 'Training', about: 'Train a language model and watch it learn.', load: () => import('./training/Training.svelte') },
  { path: '/generate', title: 'Generate', about: 'Let a model write, and ask why it says what it says.', load: () => import('./generate/Generate.svelte') },
  { path: '/paint', title: 'Paint', about: 'Turn words into a picture, and see each step from noise.', load: () => import('./paint/Paint.svelte') },
  { path: '/voice', title: 'Voice', about: 'Teach a model your own writing, and see whether it learned your voice or your essays.', load: () => import('./voice/Voice.svelte') },
  { path: '/microscope', title: 'Microscope', about: 'Every number of a step, and the arithmetic that made it.', load: () => import('./microscope/Microscope.svelte') },
];

export function screenOf(path: string): { screen: Screen | undefined; rest: string } {
  const screen = SCREENS.find((one) => (one.path === '/' ? path === '/' : path === one.path || path.startsWith(`${one.path}/`)));
  return { screen, rest: screen && screen.path !== '/' ? decodeURIComponent(path.slice(screen.path.length + 1)) : '' };
}
