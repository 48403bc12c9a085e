// What a run trains, in words: models of text and of pictures differ in what their loss measures and in what is counted.

import type { RunFacts } from './wire';
import type { XAxis } from './columns';

type Kind = RunFacts['kind'];

const LOSS_UNITS: Record<string, string> = { text: 'nats a token', unet: 'mean squared error', dit: 'mean squared error', contrastive: 'nats a picture', vae: 'weighted error' };
const LOSS_ABOUT: Record<string, string> = {
  text: 'Loss: how surprised the model is by the next token, on the text it learns from and on text kept aside (validation).',
  contrastive: 'Loss: how hard it is to find the caption of a picture among those of its batch, and the picture of a caption. In training captions wrong in one thing count too, and what words alone foresee; on pictures kept aside (validation) they do not.',
  vae: 'Loss: how far pictures that went through the latents are from themselves: squares, edges, and how much the latents tell.',
};
const DENOISING = 'Loss: the mean squared error of what the model says about noised pictures, on those it learns from (at the times, and with the weights, of the recipe) and on pictures kept aside (validation, at all times alike). It compares only with losses of the same kind.';

export const isText = (kind: Kind): boolean => kind === 'text';
export const lossUnit = (kind: Kind): string => LOSS_UNITS[kind] ?? '';
export const lossAbout = (kind: Kind): string => LOSS_ABOUT[kind] ?? DENOISING;
/** Return how a picture among the samples came about, as the beginning of a sentence. */
export const shownHow = (kind: Kind): string => (kind === 'vae' ? 'Held-out pictures and what comes back of them' : 'Painted from the same noise');
/** Return what a run works through: tokens, or pictures. */
export const counted = (kind: Kind): string => (isText(kind) ? 'tokens' : 'pictures');
export const axisLabel = (axis: XAxis, kind: Kind): string => ({ step: 'step', tokens: counted(kind), seconds: 'seconds of training' })[axis];
