/** A decoded photo; `data` has R, G, B of each pixel, row by row from the top left. */
export interface Photo {
  width: number;
  height: number;
  data: Uint8Array;
}

export function blank(width: number, height: number): Photo {
  return { width, height, data: new Uint8Array(width * height * 3) };
}

export function cut(photo: Photo, left: number, top: number, width: number, height: number): Photo {
  if (width === photo.width && height === photo.height) return photo;
  const result = blank(width, height);
  for (let y = 0; y < height; y++) {
    const at = ((top + y) * photo.width + left) * 3;
    result.data.set(photo.data.subarray(at, at + width * 3), y * width * 3);
  }
  return result;
}
