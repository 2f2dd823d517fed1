//! Text in columns.

use std::fmt::Write as _;
use std::io;

use super::protocol::Reply;

/// Rows that are rendered before other tasks have their turn.
const AT_ONCE: usize = 256;

/// Writes a table: a line of titles, then a line for each row. The last column is not padded.
///
/// The cells of a row are made twice, once for the widths: all of them at once would take more memory than what they show.
pub(super) async fn write<T, const N: usize>(
    reply: &mut Reply,
    titles: [&str; N],
    rows: &[T],
    cells: impl Fn(&T) -> [String; N],
) -> io::Result<()> {
    let mut widths = titles.map(str::len);
    for rows in rows.chunks(AT_ONCE) {
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(cells(row)) {
                *width = (*width).max(cell.chars().count());
            }
        }
        tokio::task::yield_now().await;
    }
    let mut text = String::new();
    line(&mut text, widths, &titles);
    for rows in rows.chunks(AT_ONCE) {
        for row in rows {
            line(&mut text, widths, &cells(row));
        }
        reply.out(&text).await?;
        text.clear();
    }
    reply.out(&text).await
}

fn line<const N: usize>(text: &mut String, widths: [usize; N], cells: &[impl AsRef<str>; N]) {
    for (index, (width, cell)) in widths.into_iter().zip(cells).enumerate() {
        let cell = cell.as_ref();
        let width = if index + 1 == N { 0 } else { width };
        // Writing to a string cannot fail.
        write!(text, "{cell:width$}{}", if index + 1 == N { "\n" } else { "  " }).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut text = String::new();
        for cells in [["ID", "NAME"], ["1", "ä"], ["1000", "b"]] {
            line(&mut text, [4, 4], &cells);
        }
        assert_eq!(text, "ID    NAME\n1     ä\n1000  b\n");
    }
}
