/** Reads what `mmdata.export_web` writes, in a page, in a Worker and in Node. */

/** Rows of a typed array, as TensorFlow.js takes them: `tf.tensor(data, shape, dtype)`. */
export interface Rows {
  data: Float32Array | Int32Array | Uint8Array;
  shape: number[];
  dtype: "float32" | "int32";
}

export type Column =
  | Float32Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** b examples; what the data does not have is absent. */
export interface Batch {
  /** Number of batches before this one, since epoch 0. */
  step: number;
  epoch: number;
  /** [b, h, w, channels]: 0 to 255, or with `normalize: true` as the model was trained. */
  images: Uint8Array | Float32Array;
  imageShape: [number, number, number, number];
  /** [b]: Python's `image_id`, the row in `ds.pairs` of the first copy of the image. */
  imageIds: Int32Array;
  /** [b]: the row in the exported split. */
  rows: Int32Array;
  /** [b]: the weight of each example; 0 if its image could not be decoded. */
  weights: Float32Array;
  /** [b]: 0 if the image could not be decoded; only if corrupt images were allowed. */
  valid?: Uint8Array;
  /** [b, t], with start, end and padding. */
  tokenIds?: Int32Array;
  tokenShape?: [number, number];
  /** [b, t]: 1 at real tokens. */
  paddingMask?: Int32Array;
  /** [b, t]: 1 at the tokens of the caption and at the end token. */
  responseMask?: Int32Array;
  /** [b]: as they were read, before cleaning. */
  captions?: string[];
  /** [b]: indices in `classNames`, if classes have names. */
  labels?: Int32Array;
  /** [b]: only if they were exported. */
  fileNames?: string[];
  /** Further numbers of each example, by name, each [b]. */
  columns: Record<string, Column>;
}

export interface BatchOptions {
  /** A name in `splits`; by default "train". "validation" and "test" are never shuffled. */
  split?: string;
  /** By default that of the export. */
  batchSize?: number;
  /** The same seed gives the same batches, as in Python; by default that of the export. */
  seed?: number | string;
  /** By default as exported. "blocks" permutes a few shards at a time: cheaper on a server. */
  shuffle?: boolean | "blocks";
  /** The first step, counted since epoch 0; below 2^53. */
  at?: number;
  /** Scales pixels to the range that the model expects. */
  normalize?: boolean;
}

export interface OpenOptions {
  /** Decodes in a Worker, so that the page stays responsive. */
  worker?: boolean;
  /** Limit of decoded shards in memory, in bytes; by default 256 MiB. */
  cacheBytes?: number;
  /** TensorFlow.js: `next*Batch` then returns tensors. */
  tf?: any;
  /** Whether to load the tokenizer, if there is one. */
  tokenizer?: boolean;
  /** Used instead of `globalThis.fetch`; not with `worker: true`. */
  fetch?: typeof globalThis.fetch;
}

export interface Tokenizer {
  /** How many ids there are: the size of a model's table of tokens. */
  readonly vocabularySize: number;
  /** Token ids of a text, cleaned; without special tokens. */
  encode(text: string): Int32Array;
  decode(ids: ArrayLike<number>): string;
  /** Ids with start, prompt, end and padding, as in a batch of one. */
  pack(ids: ArrayLike<number>): {
    tokenIds: Int32Array;
    paddingMask: Int32Array;
    responseMask: Int32Array;
  };
}

/** A batch in the form of the Keras task; tensors if `open` got `tf`. */
export interface Example {
  xs: any;
  ys?: any;
  sample_weight?: any;
}

export interface NextOptions {
  /** Scales pixels as in training; by default only for tensors, if `open` got `tf`. */
  normalize?: boolean;
}

export interface Data {
  /** What manifest.json holds. */
  readonly manifest: Manifest;
  readonly splits: string[];
  /** [height, width] */
  readonly imageSize: [number, number];
  readonly channels: number;
  readonly classNames: string[];
  /** null if the data has none, or none for JavaScript. */
  readonly tokenizer: Tokenizer | null;
  /** Examples of an epoch: captions or images, as the task has it. */
  size(split: string): number;
  /** Images. */
  rows(split: string): number;
  stepsPerEpoch(options?: { split?: string; batchSize?: number }): number;
  /** The batches from step `at` to the end of its epoch, and of further epochs. */
  batches(options?: BatchOptions & { epochs?: number }): AsyncGenerator<Batch, void, void>;
  /** The next `size` examples of "train", over all epochs. */
  nextTrainBatch(size: number, options?: NextOptions): Promise<Example>;
  nextTestBatch(size: number, options?: NextOptions): Promise<Example>;
  nextBatch(size: number, split?: string, options?: NextOptions): Promise<Example>;
  /** A user's own picture, prepared as in training: [h, w, channels]. */
  preprocess(
    picture: Picture,
    options?: { normalize?: boolean },
  ): Promise<Uint8Array | Float32Array>;
  /** Ends the Worker and frees memory; the data cannot be used after this. */
  close(): void;
}

/**
 * Opens an export.
 *
 * @param url A folder, or its manifest.json: an http(s) URL; in Node a file: URL or a path too.
 */
export function open(url: string | URL, options?: OpenOptions): Promise<Data>;

/** A `tf.data.Dataset` for `fitDataset`; each iteration is the next epoch, the first from `at`. */
export function tfDataset(
  tf: any,
  data: Data,
  options?: BatchOptions & {
    /** The features of xs to keep; by default all. */
    inputs?: string[];
    /** Puts weights into `ys`, [..., 2], for `weightedLoss`. */
    weighted?: boolean;
    /** Makes another element of each batch. */
    select?: (batch: Batch, tf: any) => any;
  },
): any;

/** Cross-entropy of class numbers for `ys` of `tfDataset(..., { weighted: true })`, as Keras has it. */
export function weightedLoss(
  tf: any,
  options?: { fromLogits?: boolean },
): (labels: any, predictions: any) => any;

/** Share of right predictions among those with a weight, for the same `ys`. */
export function weightedAccuracy(tf: any): (labels: any, predictions: any) => any;

/** Rows of pixels: [height, width, channels], with 1, 2, 3 or 4 channels. */
export interface RawPixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  /** By default as many as `data` has. */
  channels?: number;
}

/**
 * A file, its bytes, its URL, in Node also its path; raw pixels; in a browser also an ImageBitmap, and
 * an image or canvas of the page.
 */
export type Picture =
  | Blob
  | Uint8Array
  | ArrayBuffer
  | string
  | URL
  | RawPixels
  | ImageBitmapSource;

export interface ImageBatchOptions {
  /** [height, width] in pixels, or one number for both; 224 by default. */
  imageSize?: number | [number, number];
  /** 32 by default; the last batch may be smaller. */
  batchSize?: number;
  /** Pictures that are loaded and decoded at the same time: the limit of memory. 4 by default. */
  concurrency?: number;
  /** "stretch" by default. */
  fit?: "stretch" | "crop" | "pad";
  /** "bilinear" by default. */
  interpolation?: "bilinear" | "bicubic";
  /** RGB of padding and behind transparent pixels; white by default. */
  background?: [number, number, number];
  /** Largest share of a picture that "crop" may cut off, 0 to 1. */
  maxCrop?: number;
  /** Pictures are resized to this first, then `imageSize` is cropped from the centre. */
  loadSize?: number | [number, number] | null;
  /** false: bytes, 0 to 255. true: 0 to 1; or another range by its name in Python. */
  normalize?: string | boolean;
  /** If a picture cannot be decoded: an error, or a black picture with weight 0. */
  onProblem?: "error" | "continue";
  /** Decodes in a Worker, so that the page stays responsive. */
  worker?: boolean;
}

export interface ImageBatch {
  /** [b, height, width, 3], RGB. */
  images: Uint8Array | Float32Array;
  imageShape: [number, number, number, number];
  /** Of its file, its URL, or "picture 7" for the seventh. */
  names: string[];
  /** [b]: 0 if the picture could not be decoded. */
  weights: Float32Array;
  /** The pictures of this batch that could not be decoded. */
  problems: { name: string; message: string }[];
}

/** Batches of any pictures, in their order, read while batches are taken. */
export function imageBatches(
  pictures: Iterable<Picture> | AsyncIterable<Picture>,
  options?: ImageBatchOptions,
): AsyncGenerator<ImageBatch, void, void>;

export interface ShardFile {
  file: string;
  bytes: number;
  crc32: number;
  /** Rows and columns of a sprite. */
  grid?: [number, number];
  /** Where each item of a ragged column begins. */
  offsets?: { file: string; bytes: number; crc32: number };
}

export interface Shard {
  split: string;
  rows: number;
  captions: number;
  files: Record<string, ShardFile>;
}

export interface SplitSettings {
  rows: number;
  captions: number;
  shards: number;
  shard_rows: number;
  evaluation: boolean;
}

export interface TextSettings {
  length: number;
  start_id: number | null;
  end_id: number | null;
  pad_id: number;
  prompt: number[];
  padding: "length" | "longest";
  padding_side: "right" | "left";
  template: string;
  clean: Record<string, any> | null;
  tokenizer: string | null;
}

export interface Manifest {
  format: "mmdata web";
  version: number;
  fingerprint: string;
  settings: {
    versions: Record<string, number>;
    pixels: { size: [number, number]; channels: number; normalize: string; [name: string]: any };
    task: {
      name: string;
      captions: string;
      lookahead: number;
      columns: string[];
      class_names: string[];
    };
    text: TextSettings | null;
    order: {
      seed: string;
      shuffle: boolean | "blocks";
      batch_size: number;
      remainder: "keep" | "drop" | "wrap";
      window: number;
    };
    splits: Record<string, SplitSettings>;
  };
  columns: Record<string, { kind: "sprite" | "fixed" | "ragged"; dtype: string; shape: number[] }>;
  rows: number;
  shards: Shard[];
}
