// Situations worth seeing, good and bad, each with what happens and why. (Their numbers are checked by the tests.)

export interface Preset {
  readonly name: string;
  readonly title: string;
  /** Whether it goes well. */
  readonly isGood: boolean;
  readonly why: readonly [string, string];
  /** The part of the address that makes it. */
  readonly address: string;
  /** A step worth going to. */
  readonly until: number;
}

export const PRESETS: readonly Preset[] = [
  {
    name: 'xor', title: 'XOR with four units', isGood: true, until: 100, address: '',
    why: ['No straight line separates the two kinds, so hidden units are needed: each draws a line of its own, and the output adds them up.', 'After 75 steps every point is on its right side; the steps after that only make the network more sure.'],
  },
  {
    name: 'line', title: 'One unit is enough', isGood: true, until: 60, address: 'data=linear&hidden=1',
    why: ['Two kinds on two sides of a line need a single line, and one unit can draw it.', 'More units would also work, but they would have nothing to do: take the smallest network that fits the problem.'],
  },
  {
    name: 'small', title: 'Too small for XOR', isGood: false, until: 800, address: 'hidden=1',
    why: ['One hidden unit draws one line, whatever its weights, so one of the four patches always stays on the wrong side.', 'The loss goes down all the same and the network stops at 75 % right: learning longer cannot replace a unit that is missing.'],
  },
  {
    name: 'luck', title: 'Two units: luck decides', isGood: false, until: 800, address: 'hidden=2&seed=1&tab=many',
    why: ['Two units can solve XOR, but from these first weights they slide into a valley from which every way leads up.', 'Other seeds get there, this one is stuck: look at the nine side by side below. A third or fourth unit makes the luck unnecessary.'],
  },
  {
    name: 'slow', title: 'Rate too small', isGood: false, until: 1500, address: 'rate=0.01',
    why: ['The direction is right but every step is tiny: after 400 steps the network is hardly better than a coin.', 'Nothing is broken; with a rate fifty times as large the same way is done in 75 steps.'],
  },
  {
    name: 'leaps', title: 'Rate too large', isGood: false, until: 200, address: 'data=circles&hidden=8-8&activation=relu&rate=5',
    why: ['Each step leaps over the valley it aims at: in the first steps weights are changed by many times their own size.', 'Most units are thrown to where they say 0 for every point and never come back, so the network stays near 70 % right.'],
  },
  {
    name: 'dead', title: 'Dead ReLU units', isGood: false, until: 200, address: 'activation=relu&rate=5&seed=4',
    why: ['A large step pushed a unit so far down that its sum is below zero for every point; ReLU then says 0, and so does its slope.', 'Without a slope there is no gradient and the unit never learns again: here XOR stays at 75 %.'],
  },
  {
    name: 'flat', title: 'Sigmoids in a row', isGood: false, until: 1500, address: 'activation=sigmoid&hidden=4-4-4',
    why: ['The slope of a sigmoid is at most a quarter, and backward through three layers those slopes are multiplied: hardly any gradient arrives at the first.', 'The loss stays at 0.693, that of a coin, for thousands of steps. tanh in the same network has learnt it after a few hundred.'],
  },
  {
    name: 'noise', title: 'Noise learnt by heart', isGood: false, until: 1500, address: 'data=moons&points=30&noise=0.2&hidden=8-8&optimizer=adam&rate=0.05',
    why: ['A fifth of the labels is wrong, there are only 30 points, and this network is large enough to bend around each of them.', 'It gets most of the wrong labels "right", and on the points held out (hollow) it becomes worse than it was early on: that is overfitting.'],
  },
  {
    name: 'spiral', title: 'Spiral with Adam', isGood: true, until: 400, address: 'data=spiral&points=200&hidden=8-8&optimizer=adam&rate=0.03',
    why: ['Two arms wound around each other need many lines put together: the first layer draws them, the second combines them.', 'Adam gives every weight a pace of its own; after 400 steps all but one of the 200 points are right, and almost all of those held out.'],
  },
  {
    name: 'spiral-sgd', title: 'The same with SGD', isGood: false, until: 400, address: 'data=spiral&points=200&hidden=8-8&rate=0.03',
    why: ['The same network, points and rate, but plain gradient descent: where the gradient is small the steps are small, and here it is small almost everywhere.', 'After 400 steps it is near 62 %. With a rate of 0.5 it gets there too, but needs thousands of steps.'],
  },
  {
    name: 'blown', title: 'Blown up', isGood: false, until: 41, address: 'activation=relu&edits=40*w*2*1*2*1e200&step=30',
    why: ['At step 40 someone sets a weight to 1 with 200 zeros. The gradient of everything below is multiplied by it, so the next update is just as large.', 'One step later two such numbers meet in a product that no float can hold: the network stops there and says which number it was. Undo brings it back.'],
  },
  {
    name: 'one', title: 'One point at a time', isGood: true, until: 800, address: 'batch=1',
    why: ['Each step listens to a single point, which pulls the weights its own way: the loss goes down in a zigzag.', 'On the whole the pulls add up to the right direction, and a step costs a hundredth of the work.'],
  },
]; // prettier-ignore
