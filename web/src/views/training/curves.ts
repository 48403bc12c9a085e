// Which curves of a run stand in which picture.

import type { LineSeries } from '../../figures/lines';
import type { Columns, XAxis } from './columns';
import { counted, lossAbout, lossUnit } from './kinds';

export interface Picture {
  readonly id: string;
  readonly title: string;
  readonly yLabel: string;
  /** What it shows, in a line. */
  readonly about: string;
  readonly series: LineSeries[];
  readonly fromZero?: boolean;
}

const MEGA = 1e6;

/** Return a run's pictures; those with nothing measured are left out, but for the loss. */
export function pictures(columns: Columns, axis: XAxis, kind: string): Picture[] {
  const line = (name: string, column: string, more: Partial<LineSeries> = {}): LineSeries => ({ name, ...columns.line(column, axis), ...more });
  const layers = (prefix: string): LineSeries[] => columns.names.filter((name) => name.startsWith(prefix)).map((name) => line(name.slice(prefix.length), name, { points: true, smooth: false }));
  const measured = (name: string, column: string): LineSeries => line(name, column, { points: true, smooth: false });
  const averaged = columns.names.includes('loss_without_ema') ? [measured('without the average', 'loss_without_ema')] : [];
  const rates = columns.names.filter((name) => name.startsWith('learning_rates.'));
  const bytes = columns.line('memory_bytes', axis);
  const speed = columns.names.includes('tokens_per_second') ? columns.line('tokens_per_second', axis) : columns.throughput(axis);
  const all: Picture[] = [
    {
      id: 'loss',
      title: 'Loss',
      yLabel: lossUnit(kind),
      about: lossAbout(kind) + (averaged.length ? ' Validated are the average of the weights, which is kept, and the weights themselves.' : ''),
      series: [line('loss', 'loss'), measured('validation loss', 'validation_loss'), ...averaged],
    },
    {
      id: 'bits',
      title: 'Bits per byte',
      yLabel: 'bits a byte',
      about: 'The validation loss in bits for each byte of text, which compares across tokenizers.',
      series: [measured('bits per byte', 'bits_per_byte')],
    },
    {
      id: 'times',
      title: 'Loss by noise',
      yLabel: lossUnit(kind),
      about: 'The validation loss at fixed times, from nearly all noise (0.1) to nearly a picture (0.9): which noise is hard.',
      series: columns.names.filter((name) => name.startsWith('loss_t')).map((name) => measured(`at time ${name.slice('loss_t'.length)}`, name)),
    },
    {
      id: 'retrieval',
      title: 'Retrieval',
      yLabel: 'share',
      about: 'Of pictures kept aside: how often the one most like a caption is the right one, and the other way round.',
      series: [measured('picture of a caption', 'picture_of_caption'), measured('caption of a picture', 'caption_of_picture'), measured('told from wrong captions', 'wrong_captions_told')],
      fromZero: true,
    },
    {
      id: 'foresight',
      title: 'Foresight',
      yLabel: 'error',
      about: 'How badly the words alone foresee what the picture encoder makes of each place; 1 is no better than the mean.',
      series: [measured('error', 'foresight_error')],
    },
    {
      id: 'psnr',
      title: 'Reconstruction',
      yLabel: 'dB',
      about: 'How near pictures kept aside come back from their latents: the peak signal-to-noise ratio, higher is nearer.',
      series: [measured('PSNR', 'psnr_db')],
    },
    {
      id: 'rate',
      title: 'Learning rate',
      yLabel: rates.length ? 'rate' : 'share of the peak',
      about: rates.length ? 'How large the steps are: the rate really applied, by each optimizer.' : 'How large the steps are, as a share of the peak rates of the recipe.',
      series: rates.length ? rates.map((name) => line(name.slice('learning_rates.'.length), name, { smooth: false })) : [line('learning rate', 'rate', { smooth: false })],
      fromZero: true,
    },
    {
      id: 'gradients',
      title: 'Gradient norm',
      yLabel: 'norm',
      about: 'The length of the gradient over all parameters.',
      series: [line('all parameters', 'grad_norm')],
    },
    { id: 'layers', title: 'Gradient norm by layer', yLabel: 'norm', about: 'The same, layer by layer: one that stays near 0 learns nothing.', series: layers('layer_grad_norms.') },
    { id: 'updates', title: 'Update norm by layer', yLabel: 'norm', about: 'How far one step moved the weights of each layer.', series: layers('layer_update_norms.') },
    {
      id: 'speed',
      title: 'Throughput',
      yLabel: `${counted(kind)} a second`,
      about: `${kind === 'text' ? 'Tokens' : 'Pictures'} worked through in a second, over the last steps.`,
      series: [{ name: 'throughput', ...speed, smooth: false }],
      fromZero: true,
    },
    {
      id: 'memory',
      title: 'Memory',
      yLabel: 'MB',
      about: 'Memory the training process holds.',
      series: [{ name: 'memory', x: bytes.x, y: bytes.y.map((value) => value / MEGA), smooth: false }],
      fromZero: true,
    },
  ];
  return all.filter(({ id, series }) => id === 'loss' || series.some(({ x }) => x.length));
}
