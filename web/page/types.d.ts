/** What the page and its worker tell each other. */

/** A file of a model: where it stands in the model's folder, and its bytes. */
export interface ModelFile {
  path: string;
  blob: Blob;
}

/** The list of a model's files, as the build writes it beside them. */
export interface Manifest {
  name: string;
  licence: string;
  files: { path: string; size: number; sha256?: string }[];
}

/** What musev runs a model with where the visitor says nothing. */
export interface ModelSettings {
  width: number | null;
  height: number | null;
  fps: number;
  steps: number;
  video_guidance_scale: number;
  negative_prompt: string;
}

/** What a video needs, in bytes; a network's `largest` is its largest tensor. */
export interface MemoryPlan {
  plan: { networks: { name: string; bytes: number; largest: number; on_device: boolean }[] };
  device_peak: number;
  cpu_peak: number;
}

/** A picture on its way to the worker: the bytes of a file, or the pixels of a canvas. */
export type PictureData =
  | { name: string; bytes: Uint8Array }
  | { width: number; height: number; rgba: Uint8ClampedArray };

/** What the visitor asks for; what is left out is the model's to say. */
export interface Wish {
  prompt: string;
  negativePrompt?: string;
  seconds: number;
  fps?: number;
  width?: number;
  height?: number;
  steps?: number;
  scheduler?: string;
  guidance?: number;
  seed: number;
  closedLoop?: boolean;
  preview?: boolean;
}

/** A finished video: a WebP without loss, from which every other format is made. */
export interface Made {
  webp: Uint8Array<ArrayBuffer>;
  settings: string;
  width: number;
  height: number;
  frames: number;
  fps: number;
}

/** How far the worker is. */
export type Progress =
  | { event: 'loaded'; part: string }
  | { event: 'shot' | 'window' | 'step'; index: number; of: number }
  | { event: 'decoded'; frames: number; of: number }
  | { event: 'preview'; width: number; height: number }
  | { event: 'download'; path: string; bytes: number; of: number }
  | { case: string; kind: string; status: 'pass' | 'fail' | 'skip'; error: number | null; tolerance: number; detail: string };

export type Listener = (progress: Progress, pixels: Uint8ClampedArray<ArrayBuffer> | null) => void;

/** Every call of the worker: what it takes and what it gives. */
export interface Calls {
  start: { takes: { backend: 'wgpu' | 'cpu'; precision: string }; gives: { precision: string; version: string } };
  install: { takes: { base: string; manifest: Manifest }; gives: null };
  load: { takes: { name: string; files?: ModelFile[] }; gives: ModelSettings };
  plan: { takes: { name: string; files?: ModelFile[]; wish: Wish; numberBytes: number }; gives: MemoryPlan };
  generate: { takes: { wish: Wish; picture: PictureData | null }; gives: Made };
  convert: { takes: { webp: Uint8Array; settings: string; format: 'mp4' | 'gif' }; gives: Uint8Array<ArrayBuffer> };
  selfTest: { takes: {}; gives: null };
}

// What only workers have; TypeScript's own library for workers does not go with that for pages.
declare global {
  interface FileSystemSyncAccessHandle {
    getSize(): number;
    read(buffer: Uint8Array, options: { at: number }): number;
    write(buffer: Uint8Array, options: { at: number }): number;
    truncate(size: number): void;
    flush(): void;
    close(): void;
  }
  interface FileSystemFileHandle {
    createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>;
  }
}
