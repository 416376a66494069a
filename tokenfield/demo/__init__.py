"""The demonstration: photographs become tokens and come back, in pictures, numbers and one page.

    steps     what a trained model does with photographs: reconstruction, zoom, what a token governs; the report
    fresh     a small LAINR, trained from nothing for a few seconds
    tour      all of it in order, and the PNG files
    page      the report as one HTML file that needs nothing else
"""
