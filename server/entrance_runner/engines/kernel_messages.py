"""What the Python engine and its kernel add to Jupyter's messages."""

RESULT_DIRECTORY = "entrance_result_directory"  # in the metadata of a request
RESULT = "application/vnd.entrance.result+json"  # a note about a result file, as displayed data
BEGUN = (
    "application/vnd.entrance.begun"  # as displayed data: from now on an interrupt hits the code
)
LINE = "entrance_line"  # in a reply: the line of the code that raised, 0 where it is not known
