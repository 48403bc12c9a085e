// The settings in words: what they are called, what may be chosen, and one line of what each does.

import type { ACTIVATIONS, DATA, LOSSES, OPTIMIZERS } from './situation.svelte';

export const DATA_WORDS: Record<(typeof DATA)[number], string> = {
  xor: 'XOR', circles: 'Circles', moons: 'Moons', spiral: 'Spiral', linear: 'Line', and: 'AND', or: 'OR',
}; // prettier-ignore
export const ACTIVATION_WORDS: Record<(typeof ACTIVATIONS)[number], string> = { tanh: 'tanh', sigmoid: 'sigmoid', relu: 'ReLU' };
export const LOSS_WORDS: Record<(typeof LOSSES)[number], string> = { cross_entropy: 'Cross-entropy', squared_error: 'Squared error' };
export const OPTIMIZER_WORDS: Record<(typeof OPTIMIZERS)[number], string> = { sgd: 'SGD', momentum: 'Momentum', adam: 'Adam' };

export const HINTS = {
  data: 'Which points: truth tables as four patches, a disc in a ring, two moons, two spirals, two sides of a line.',
  points: 'Points to learn from; as many again are held out, to see whether the network learnt the rule or the points.',
  noise: 'Share of the points whose label is flipped (never of those held out).',
  activation: 'What hidden units do with their sum. The output is always a sigmoid.',
  loss: 'How wrong an answer is: cross-entropy is -log of the probability given to the label, squared error (a - y)².',
  penalty: 'This times the entropy of the output is taken off the loss: being sure is made less of a gain.',
  batch: 'Points in one step.',
  rate: 'Size of a step.',
  optimizer: 'SGD goes down the gradient, momentum keeps going, Adam gives every weight a pace of its own.',
  seed: 'The first weights and the batches follow from this number.',
} as const;
