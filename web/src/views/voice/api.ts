// What the whole voice screen asks the lab: which folders of writing and which tuned runs there are.

import { get, LabError, type Wire } from '../../api/client';

export type Frame = Wire<'VoiceFrame'>;
export type Writing = Wire<'Writing'>;
export type TunedRun = Wire<'TunedRun'>;

export const getFrame = (): Promise<Frame> => get<Frame>('/voice');

/** Return what went wrong, for people. */
export const said = (error: unknown): string => (error instanceof LabError || error instanceof Error ? error.message : String(error));

export const METHODS: Readonly<Record<string, string>> = { lora: 'LoRA', full: 'all weights', lora4: 'LoRA on 4 bits' };
