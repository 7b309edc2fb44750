"""How many dear bids each auction gets per minute, and the dearest, from Parquet to Parquet.

    streamlet run examples/dear_bids.py -- BIDS OUT_DIR

BIDS is a Parquet file or a directory of them, with at least these columns: auction, price (in
cents of a dollar), ts (a timestamp with a time zone, or epoch ms). Bids come out of order by up
to five seconds.
Conditions and new fields are pyarrow expressions, so that the bids stay columns from the file to
the windows; `streamlet plan` says where they do.
"""

import sys

import pyarrow.compute as pc

from streamlet import StreamExecutionEnvironment, TumblingEventTimeWindows, WatermarkStrategy
from streamlet import aggregates as agg
from streamlet.connectors.files import FileSink, FileSource

DEAR_CENTS = 10_000
EUROS_PER_CENT = 0.00908


def main(bids: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("5s").with_timestamp_assigner("ts")
    read = env.from_source(FileSource.parquet(bids), strategy, "bids").uid("bids")
    dear = read.filter(pc.field("price") >= DEAR_CENTS).uid("dear")
    euros = dear.select(auction="auction", euros=pc.field("price") * EUROS_PER_CENT).uid("euros")
    minutes = euros.key_by("auction").window(TumblingEventTimeWindows.of("1m"))
    counted = minutes.agg(bids=agg.count(), dearest=agg.max("euros")).uid("per-minute")
    counted.sink_to(FileSink.parquet(out_dir)).uid("out")
    env.execute("dear-bids")


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 3 else sys.exit(__doc__)
