// Where one is in the Tune tab: the filled form and the example that is looked at; all in the address, so that a filled form
// is a link.

import { choice, json, linked, text, whole } from '../../state/location.svelte';
import type { Wire } from '../../api/client';

export type Values = Record<string, string>;
export type Look = Wire<'LookSaid'>;
export const METHOD_IDS = ['lora', 'full', 'lora4'] as const;
export type Method = (typeof METHOD_IDS)[number];

const isValues = (value: unknown): value is Values => typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'string');

export const here = linked({
  base: text(),
  method: choice(METHOD_IDS, 'lora'),
  set: json<Values>({}, isValues),
  name: text(),
  /** Which example is looked at. */
  example: whole(0),
});

export const METHOD_WORDS: Readonly<Record<Method, { title: string; about: string }>> = {
  lora: { title: 'LoRA', about: 'The weights rest; a small correction beside each matrix learns. Little memory, hard to spoil. Begin here.' },
  full: { title: 'All weights', about: 'Every weight learns. The most memory, and a small set of pairs is soon known by heart.' },
  lora4: { title: 'LoRA on 4 bits', about: 'As LoRA, with the resting weights rounded to 4 bits: for models that would not fit otherwise.' },
};
