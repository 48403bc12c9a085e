// A tab of a screen, as data.

import type { Component } from 'svelte';

export interface Tab<Id extends string, Props extends Record<string, any>> {
  readonly id: Id;
  readonly title: string;
  /** What the tab does, as one reads it under the pointer. */
  readonly about: string;
  readonly load: () => Promise<{ default: Component<Props> }>;
}
