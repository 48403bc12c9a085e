// How tokens are drawn, as the lab takes it, and presets of it. Presets can be changed; they are kept in this browser.

import type { Wire } from '../../api/client';
import { at, forgetBranches } from './WriteState';

export type Settings = Required<Wire<'Settings'>>;
/** What a preset holds: everything but seed, length and stop strings. */
export interface Preset {
  readonly temperature: string;
  readonly topk: number;
  readonly topp: number;
  readonly minp: number;
  readonly penalty: number;
}
export const PRESET_NAMES = ['greedy', 'precise', 'balanced', 'creative'] as const;
export type PresetName = (typeof PRESET_NAMES)[number];
const FIRST: Readonly<Record<PresetName, Preset>> = {
  greedy: { temperature: '0', topk: 0, topp: 1, minp: 0, penalty: 1 },
  precise: { temperature: '0.4', topk: 0, topp: 0.9, minp: 0, penalty: 1 },
  balanced: { temperature: '0.8', topk: 0, topp: 0.95, minp: 0, penalty: 1 },
  creative: { temperature: '1.1', topk: 0, topp: 1, minp: 0.05, penalty: 1 },
};
export const PRESET_WORDS: Readonly<Record<PresetName, string>> = {
  greedy: 'Always the likeliest token.',
  precise: 'Likely tokens, few surprises.',
  balanced: 'Some variety; the unlikely tail is left out.',
  creative: 'Rare tokens get their chance.',
};
const KEY = 'cutaway.generate.presets';

export function presets(): Record<PresetName, Preset> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return { ...FIRST, ...(kept as Partial<Record<PresetName, Preset>>) };
  } catch {
    return { ...FIRST };
  }
}
export function keepPreset(name: PresetName, preset: Preset | undefined): Record<PresetName, Preset> {
  const all = { ...presets(), [name]: preset ?? FIRST[name] };
  const changed = PRESET_NAMES.filter((one) => !isSame(all[one], FIRST[one]));
  localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(changed.map((one) => [one, all[one]]))));
  return all;
}
export function isFirst(name: PresetName, preset: Preset): boolean {
  return isSame(preset, FIRST[name]);
}
export function isSame(a: Preset, b: Preset): boolean {
  return a.temperature === b.temperature && a.topk === b.topk && a.topp === b.topp && a.minp === b.minp && a.penalty === b.penalty;
}

/** The settings in the address as a preset. */
export function current(): Preset {
  return { temperature: at.temperature, topk: at.topk, topp: at.topp, minp: at.minp, penalty: at.penalty };
}
export function take(preset: Preset): void {
  at.temperature = preset.temperature;
  at.topk = preset.topk;
  at.topp = preset.topp;
  at.minp = preset.minp;
  at.penalty = preset.penalty;
  forgetBranches();
}

/** Return the settings as the lab takes them. */
export function asked(): Settings {
  const number = at.temperature.trim() === '' ? NaN : Number(at.temperature);
  return {
    temperature: Number.isNaN(number) ? at.temperature : number,
    top_k: at.topk || null,
    top_p: at.topp < 1 ? at.topp : null,
    min_p: at.minp || null,
    repetition_penalty: at.penalty,
    max_tokens: at.max,
    stop: [...at.stop],
    seed: at.seed,
  };
}

/** Return what in the settings has no effect or cannot be meant together, in one line; '' where all is well. */
export function conflict(): string {
  const filters = [at.topk > 0 && 'top-k', at.topp < 1 && 'top-p', at.minp > 0 && 'min-p'].filter((one): one is string => one !== false);
  const isGreedy = Number(at.temperature) === 0 && at.temperature.trim() !== '';
  if (at.topp === 0) return 'Top-p 0 would leave no token; give a share above 0.';
  if (isGreedy && filters.length) return `Temperature 0 always takes the likeliest token, so ${filters.join(' and ')} ${filters.length > 1 ? 'change' : 'changes'} nothing.`;
  if (at.topk === 1 && !isGreedy) return 'Top-k 1 leaves only the likeliest token: the same as temperature 0, whatever else is set.';
  if (at.minp === 1 && !isGreedy) return 'Min-p 1 leaves only the likeliest token: the same as temperature 0, whatever else is set.';
  return '';
}
