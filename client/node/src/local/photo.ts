/** Pixels: R, G, B one after the other, row by row from the top left. */
export interface Photo {
  width: number;
  height: number;
  data: Uint8Array;
}

export function blank(width: number, height: number): Photo {
  return { width, height, data: new Uint8Array(width * height * 3) };
}
