// A tile of Winograd's method: 2 rows x STEP columns of each plane of an image, STEP being 2 where
// WIDTH is 3, otherwise 1.
struct Sizes {
    // Those that this dispatch treats.
    channels: u32,
    first_channel: u32,
    tiles: u32,
    first_tile: u32,
    // Of one image.
    tiles_down: u32,
    tiles_across: u32,
    rows: u32,
    columns: u32,
    // From one image, channel and row to the next; columns lie next to each other.
    image_step: u32,
    channel_step: u32,
    row_step: u32,
}

const STEP = 1u + WIDTH / 2u;

struct Tile {
    channel: u32,
    // Of the plane of its image and channel.
    plane: u32,
    // Its first row and column.
    row: u32,
    column: u32,
}

fn tile_of(index: u32) -> Tile {
    let channel = sizes.first_channel + index / sizes.tiles;
    let tile = sizes.first_tile + index % sizes.tiles;
    let area = sizes.tiles_down * sizes.tiles_across;
    let plane = tile / area * sizes.image_step + channel * sizes.channel_step;
    let row = 2u * (tile % area / sizes.tiles_across);
    let column = STEP * (tile % sizes.tiles_across);
    return Tile(channel, plane, row, column);
}
